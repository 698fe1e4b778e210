//! Small `.crate` files that are the same bytes every time.

use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A crate by its name, version, and the lines of its manifest that follow these two.
#[derive(Clone, Copy)]
pub struct Crate {
    pub name: &'static str,
    pub version: &'static str,
    pub rest: &'static str,
}

/// What most crates say of themselves.
const USUAL: &str =
    "edition = \"2021\"\ndescription = \"a small crate\"\nlicense = \"MIT\"\nkeywords = [\"small\"]\n";
/// What a stranger may write, to see whether it reaches the terminal or the page.
pub const HOSTILE: &str = "<script>alert('x')</script>";
const HOSTILE_MANIFEST: &str = "edition = \"2021\"\ndescription = \"\\u001b[31m<script>alert('x')</script>\"\nlicense = \"MIT\"\nkeywords = [\"<script>alert('x')</script>\"]\n";
const UNLICENSED: &str = "edition = \"2021\"\ndescription = \"nobody may use it\"\n";
const UNDESCRIBED: &str = "edition = \"2021\"\ndescription = \"\"\nlicense = \"MIT/Apache-2.0\"\n";

const fn usual(name: &'static str, version: &'static str) -> Crate {
    Crate { name, version, rest: USUAL }
}

/// Thirty archives: 21 names in the registry, of which `serde` has four versions, `tree` three and `word` two.
///
/// Two of them cannot be published: `Mixed-Case` and `mixed-case` are the same name in lower case, and `built` has two versions that
/// differ only behind the `+`.
pub const THIRTY: [Crate; 30] = [
    usual("alpha", "1.0.0"),
    usual("beta", "0.3.1"),
    usual("built", "1.0.0+a"),
    usual("built", "1.0.0+b"),
    usual("cargo-thing", "2.1.0"),
    usual("delta", "1.0.0"),
    usual("dots", "1.0.0-rc.1"),
    usual("echo", "0.0.1"),
    usual("foxtrot", "7.0.0"),
    usual("golf", "1.2.3"),
    Crate { name: "hostile", version: "1.0.0", rest: HOSTILE_MANIFEST },
    usual("hotel", "3.3.3"),
    usual("india", "1.0.0"),
    usual("juliett", "1.0.0"),
    usual("kilo", "1.0.0"),
    usual("Mixed-Case", "1.0.0"),
    usual("mixed-case", "1.0.0"),
    usual("mixed_case", "1.0.0"),
    usual("serde", "0.9.15"),
    usual("serde", "1.0.1"),
    usual("serde", "1.0.200"),
    usual("serde", "1.0.9"),
    usual("serde_json", "1.0.5"),
    usual("tree", "0.1.0"),
    usual("tree", "0.1.1"),
    usual("tree", "0.2.0"),
    Crate { name: "undescribed", version: "1.0.0", rest: UNDESCRIBED },
    Crate { name: "unlicensed", version: "1.0.0", rest: UNLICENSED },
    usual("word", "1.0.0"),
    usual("word", "2.0.0"),
];

impl Crate {
    /// The name of its file.
    pub fn file_name(&self) -> String {
        format!("{}-{}.crate", self.name, self.version)
    }

    /// The bytes of its archive.
    pub fn archive(&self) -> Vec<u8> {
        let folder = format!("{}-{}", self.name, self.version);
        let manifest =
            format!("[package]\nname = \"{}\"\nversion = \"{}\"\n{}", self.name, self.version, self.rest);
        let source = format!("//! {folder}\n").repeat(200);
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (path, content) in [("Cargo.toml", &manifest), ("src/lib.rs", &source)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            archive.append_data(&mut header, format!("{folder}/{path}"), content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }
}

/// Writes the thirty into `folder`.
pub fn write_thirty(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for one in THIRTY {
        std::fs::write(folder.join(one.file_name()), one.archive()).unwrap();
    }
}
