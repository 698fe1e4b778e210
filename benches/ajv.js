// The peer of validation_figures: JSON.parse and a compiled ajv, first error, on one thread, over the documents of one file.
//
//     node benches/ajv.js FOLDER SCHEMA DOCUMENTS SECONDS
//
// FOLDER holds node_modules with ajv; DOCUMENTS has one on each line. It prints {"valid": .., "documents": .., "nanoseconds": ..}: the
// mean of the best round. The documents are text already, so that nothing is taken for decoding UTF-8.
const fs = require("fs");
const path = require("path");
const [folder, schemaPath, documentsPath, seconds] = process.argv.slice(2);
const schema = JSON.parse(fs.readFileSync(schemaPath, "utf8"));
const module_ = String(schema.$schema).includes("2020-12") ? "ajv/dist/2020" : "ajv";
const Ajv = require(require.resolve(module_, { paths: [path.resolve(folder)] })).default;
const ajv = new Ajv({ strict: false, allErrors: false, validateFormats: false, logger: false });
// The schema of schemas is there already.
const validate = (schema.$id && ajv.getSchema(schema.$id)) || ajv.compile(schema);
const documents = fs.readFileSync(documentsPath, "utf8").split("\n").filter((line) => line !== "");

function round() {
  let valid = 0;
  for (const text of documents) if (validate(JSON.parse(text))) valid += 1;
  return valid;
}

const valid = round();
const end = process.hrtime.bigint() + BigInt(Math.round(Number(seconds) * 1e9));
let best = Infinity;
// The first rounds are those that the compiler of V8 learns from; the best one counts.
do {
  let rounds = 0;
  const begin = process.hrtime.bigint();
  let now = begin;
  while (now - begin < 50_000_000n) {
    if (round() !== valid) throw new Error("another count than before");
    rounds += 1;
    now = process.hrtime.bigint();
  }
  best = Math.min(best, Number(now - begin) / (rounds * documents.length));
} while (process.hrtime.bigint() < end);
console.log(JSON.stringify({ valid, documents: documents.length, nanoseconds: best }));
