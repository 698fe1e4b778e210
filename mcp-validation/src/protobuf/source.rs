//! From what was given as a schema to linked descriptors: `.proto` text with imports, or a `FileDescriptorSet` as base64.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mcp_core::{ErrorKind, SeamError};
use protox::file::{File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::DescriptorPool;
use protox::prost_reflect::prost::Message as _;
use protox::prost_reflect::prost_types::FileDescriptorProto;

use super::descriptor::{FileBytes, files_of_set, link};
use super::schema::Schema;
use super::text::look_over;
use crate::SchemaSource;
use crate::findings::shortened;
use crate::stack::with_stack;

/// Parsing and linking recurse as deep as the text nests.
const COMPILE_BYTES: usize = 64 << 20;
/// Imports that are passed on by `import public`, all files together.
const MAX_PUBLIC_IMPORTS: usize = 200_000;

/// Reads and links what was given.
pub(super) fn load(source: &SchemaSource<'_>) -> Result<Schema, SeamError> {
    with_stack(COMPILE_BYTES, || {
        let mut given = Given::read(source)?;
        let order = given.order()?;
        given.compile(&order)?;
        let files: Vec<FileBytes> = order.iter().filter_map(|name| given.done.remove(name)).collect();
        link(&files, &given.roots, source.limits.max_depth)
    })?
}

/// The files by name, as far as they are known.
#[derive(Default)]
struct Given {
    roots: BTreeSet<String>,
    /// Files that were given as text, parsed.
    texts: BTreeMap<String, FileDescriptorProto>,
    /// Files whose descriptors need nothing more than linking.
    done: BTreeMap<String, FileBytes>,
}

impl Given {
    fn read(source: &SchemaSource<'_>) -> Result<Self, SeamError> {
        let mut given = Self::default();
        for reference in source.references {
            let what = format!("the reference {:?}", shortened(reference.uri.clone()));
            check_size(&reference.text, &what, source)?;
            if let Some(set) = descriptor_set(&reference.text) {
                for file in files_of_set(&set).map_err(|error| context(&what, error))? {
                    given.done.insert(file.name.clone(), file);
                }
            } else {
                let file = parse(&reference.uri, &reference.text, source)?;
                given.texts.insert(reference.uri.clone(), file);
            }
        }
        check_size(source.text, "the schema", source)?;
        if let Some(set) = descriptor_set(source.text) {
            let files = files_of_set(&set).map_err(|error| context("the schema", error))?;
            let imported: BTreeSet<&str> =
                files.iter().flat_map(|file| file.imports.iter().map(String::as_str)).collect();
            given.roots = files
                .iter()
                .filter(|file| !imported.contains(file.name.as_str()))
                .map(|file| file.name.clone())
                .collect();
            for file in files {
                if let Some(before) = given.done.insert(file.name.clone(), file.clone())
                    && before.bytes != file.bytes
                {
                    let name = shortened(file.name);
                    return Err(SeamError::new(
                        ErrorKind::Invalid,
                        format!("read the schema: two different files have the name {name:?}"),
                    ));
                }
            }
        } else {
            let mut name = "schema.proto".to_owned();
            while given.texts.contains_key(&name) || given.done.contains_key(&name) {
                name.insert(0, '_');
            }
            let file = parse(&name, source.text, source)?;
            given.texts.insert(name.clone(), file);
            given.roots.insert(name);
        }
        Ok(given)
    }

    fn imports(&self, name: &str) -> &[String] {
        match (self.texts.get(name), self.done.get(name)) {
            (Some(file), _) => &file.dependency,
            (None, Some(file)) => &file.imports,
            (None, None) => &[],
        }
    }

    /// The files that are needed, each behind what it imports.
    fn order(&mut self) -> Result<Vec<String>, SeamError> {
        let mut order = Vec::new();
        let mut begun = BTreeSet::new();
        let mut ended = BTreeSet::new();
        let mut open: Vec<(String, usize)> = self.roots.iter().rev().map(|root| (root.clone(), 0)).collect();
        while let Some((name, next)) = open.pop() {
            if ended.contains(&name) {
                continue;
            }
            begun.insert(name.clone());
            let import = self.imports(&name).get(next).cloned();
            match import {
                None => {
                    ended.insert(name.clone());
                    order.push(name);
                }
                Some(import) => {
                    if begun.contains(&import) && !ended.contains(&import) {
                        let (name, import) = (shortened(name), shortened(import));
                        return Err(SeamError::new(
                            ErrorKind::Invalid,
                            format!(
                                "read the imports of {name:?}: {import:?} leads back to it, break the circle"
                            ),
                        ));
                    }
                    self.find(&import, &name)?;
                    open.push((name, next + 1));
                    open.push((import, 0));
                }
            }
        }
        Ok(order)
    }

    /// Knows `import` afterwards; the well-known files are always there.
    fn find(&mut self, import: &str, by: &str) -> Result<(), SeamError> {
        if self.texts.contains_key(import) || self.done.contains_key(import) {
            return Ok(());
        }
        let file = GoogleFileResolver::new().open_file(import).map_err(|_| {
            let (import, by) = (shortened(import.to_owned()), shortened(by.to_owned()));
            SeamError::new(
                ErrorKind::NotFound,
                format!(
                    "find the file {import:?} that {by:?} imports: it was not given, give it with reference({import:?}, text)"
                ),
            )
        })?;
        let file = FileBytes::read(&file.file_descriptor_proto().encode_to_vec())?;
        self.done.insert(import.to_owned(), file);
        Ok(())
    }

    /// Turns the texts into descriptors whose types are named in full.
    fn compile(&mut self, order: &[String]) -> Result<(), SeamError> {
        if self.texts.is_empty() {
            return Ok(());
        }
        self.pass_on_public_imports(order)?;
        let mut pool = DescriptorPool::new();
        for name in order {
            if let Some(file) = self.texts.remove(name) {
                pool.add_file_descriptor_proto(file).map_err(|error| broken(name, &error))?;
                let file = pool.get_file_by_name(name).map(|file| file.encode_to_vec()).unwrap_or_default();
                self.done.insert(name.clone(), FileBytes::read(&file)?);
            } else if let Some(file) = self.done.get(name) {
                pool.decode_file_descriptor_proto(file.bytes.as_slice())
                    .map_err(|error| broken(name, &error))?;
            }
        }
        Ok(())
    }

    /// What a file passes on becomes an import of those that import it: the linker looks no further than one step, and takes
    /// exponential time for ladders of such imports.
    fn pass_on_public_imports(&mut self, order: &[String]) -> Result<(), SeamError> {
        let mut passed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut left = MAX_PUBLIC_IMPORTS;
        for name in order {
            let Some(file) = self.texts.get_mut(name) else { continue };
            let mut imports: BTreeSet<String> = file.dependency.iter().cloned().collect();
            let mut own = BTreeSet::new();
            for (place, import) in file.dependency.iter().enumerate() {
                let is_public =
                    file.public_dependency.iter().any(|public| usize::try_from(*public) == Ok(place));
                let through = passed.get(import.as_str());
                left = left.checked_sub(1 + through.map_or(0, BTreeSet::len)).ok_or_else(|| {
                    SeamError::new(
                        ErrorKind::Exhausted,
                        format!(
                            "read imports: more than {MAX_PUBLIC_IMPORTS} are passed on by `import public`, use fewer"
                        ),
                    )
                })?;
                imports.extend(through.into_iter().flatten().cloned());
                if is_public {
                    own.insert(import.clone());
                    own.extend(through.into_iter().flatten().cloned());
                }
            }
            file.public_dependency.clear();
            file.weak_dependency.clear();
            file.dependency = imports.into_iter().collect();
            passed.insert(name, own);
        }
        Ok(())
    }
}

/// The bytes of a `FileDescriptorSet`, when `text` is base64: `.proto` text that declares anything has characters that base64 has not.
fn descriptor_set(text: &str) -> Option<Vec<u8>> {
    let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if packed.is_empty() { None } else { STANDARD.decode(packed).ok() }
}

fn check_size(text: &str, what: &str, source: &SchemaSource<'_>) -> Result<(), SeamError> {
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let max_bytes = source.limits.max_schema_bytes;
    if bytes <= max_bytes {
        return Ok(());
    }
    Err(SeamError::new(
        ErrorKind::Exhausted,
        format!("read {what}: it has {bytes} bytes, at most {max_bytes} are allowed, raise max_schema_bytes"),
    ))
}

fn parse(name: &str, text: &str, source: &SchemaSource<'_>) -> Result<FileDescriptorProto, SeamError> {
    look_over(text, source.limits).map_err(|error| context(&format!("the file {name:?}"), error))?;
    let file = File::from_source(name, text).map_err(|error| broken(name, &error))?;
    let mut file = FileDescriptorProto::from(file);
    file.source_code_info = None;
    Ok(file)
}

fn context(what: &str, error: SeamError) -> SeamError {
    SeamError::new(error.kind(), format!("read {what}")).with_source(error)
}

fn broken(name: &str, error: &dyn std::fmt::Display) -> SeamError {
    let reason = shortened(error.to_string());
    SeamError::new(ErrorKind::Invalid, format!("read the file {:?}: {reason}", shortened(name.to_owned())))
}
