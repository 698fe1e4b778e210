use std::sync::OnceLock;

use mcp_core::{Digest, Name};

use super::Slot;

/// The lanes of one stage, as far as this engine has met them. It only grows, and so what it hands out stays for as long as the engine does.
///
/// A binary tree by the digests of the names, which no order of names makes deeper than chance does. A place in it is filled once.
#[derive(Default)]
pub(super) struct LaneSlots {
    root: OnceLock<Box<Node>>,
}

struct Node {
    key: Digest,
    slot: Slot,
    below: [OnceLock<Box<Node>>; 2],
}

impl LaneSlots {
    pub(super) fn get(&self, name: &Name) -> Option<&Slot> {
        self.place(key(name)).get().map(|node| &node.slot)
    }

    /// The slot with this name: `slot`, where there was none.
    pub(super) fn get_or_insert(&self, name: &Name, slot: Slot) -> &Slot {
        let key = key(name);
        let mut node = Some(Box::new(Node { key, slot, below: Default::default() }));
        loop {
            let place = self.place(key);
            if let Some(known) = place.get() {
                return &known.slot;
            }
            // Somebody else may have filled the place since: then it is this name, or the way goes on from there.
            node = node.take().and_then(|node| place.set(node).err());
        }
    }

    /// All of them, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        let mut left: Vec<&Node> = self.root.get().map(|root| &**root).into_iter().collect();
        std::iter::from_fn(move || {
            let node = left.pop()?;
            left.extend(node.below.iter().filter_map(|below| below.get().map(|node| &**node)));
            Some(&node.slot)
        })
    }

    /// Where the node with this key is, or would be.
    fn place(&self, key: Digest) -> &OnceLock<Box<Node>> {
        let mut place = &self.root;
        while let Some(node) = place.get()
            && node.key != key
        {
            let [smaller, larger] = &node.below;
            place = if key < node.key { smaller } else { larger };
        }
        place
    }
}

fn key(name: &Name) -> Digest {
    Digest::of(name.as_str().as_bytes())
}
