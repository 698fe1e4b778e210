use std::collections::{BTreeSet, VecDeque};

/// The strongly connected components of `edges` (from each node to those that go before it), each sorted, every one behind those that it
/// depends on. Tarjan, "Depth-first search and linear graph algorithms", 1972, with a stack of its own instead of recursion.
pub(super) fn groups(edges: &[Vec<usize>]) -> Vec<BTreeSet<usize>> {
    let nodes = edges.len();
    let mut state = Search {
        index: vec![None; nodes],
        low: vec![0; nodes],
        is_open: vec![false; nodes],
        ..Search::default()
    };
    for root in 0..nodes {
        if state.index.get(root).is_some_and(Option::is_none) {
            state.visit(root, edges);
        }
    }
    state.found
}

#[derive(Default)]
struct Search {
    index: Vec<Option<usize>>,
    low: Vec<usize>,
    open: Vec<usize>,
    is_open: Vec<bool>,
    next: usize,
    found: Vec<BTreeSet<usize>>,
}

impl Search {
    fn enter(&mut self, node: usize) {
        if let (Some(index), Some(low)) = (self.index.get_mut(node), self.low.get_mut(node)) {
            (*index, *low) = (Some(self.next), self.next);
        }
        self.next = self.next.saturating_add(1);
        self.open.push(node);
        self.mark(node, true);
    }

    fn mark(&mut self, node: usize, open: bool) {
        if let Some(place) = self.is_open.get_mut(node) {
            *place = open;
        }
    }

    fn lower(&mut self, node: usize, to: usize) {
        if let Some(low) = self.low.get_mut(node) {
            *low = (*low).min(to);
        }
    }

    fn visit(&mut self, root: usize, edges: &[Vec<usize>]) {
        self.enter(root);
        let mut path = vec![(root, 0)];
        while let Some((node, tried)) = path.last_mut() {
            let node = *node;
            if let Some(other) = edges.get(node).and_then(|edges| edges.get(*tried)).copied() {
                *tried = tried.saturating_add(1);
                match self.index.get(other).copied().flatten() {
                    None => {
                        self.enter(other);
                        path.push((other, 0));
                    }
                    Some(index) if self.is_open.get(other) == Some(&true) => self.lower(node, index),
                    Some(_) => {}
                }
                continue;
            }
            path.pop();
            let low = self.low.get(node).copied().unwrap_or_default();
            if let Some((parent, _)) = path.last() {
                let parent = *parent;
                self.lower(parent, low);
            }
            if self.index.get(node).copied().flatten() == Some(low) {
                let mut group = BTreeSet::new();
                while let Some(member) = self.open.pop() {
                    self.mark(member, false);
                    group.insert(member);
                    if member == node {
                        break;
                    }
                }
                self.found.push(group);
            }
        }
    }
}

/// Two edges of a group that together exclude every order, as (what comes later, what goes before): one that puts a node before another, and
/// the last one of the way back.
pub(super) fn exclusion(edges: &[Vec<usize>], group: &BTreeSet<usize>) -> [(usize, usize); 2] {
    let inside =
        |node: usize| edges.get(node).into_iter().flatten().copied().filter(|other| group.contains(other));
    let start = group.iter().next().copied().unwrap_or_default();
    let target = inside(start).next().unwrap_or(start);
    // Breadth first from the node that `start` waits for, until somebody waits for `start`.
    let mut seen = BTreeSet::from([target]);
    let mut queue = VecDeque::from([target]);
    let mut last = target;
    while let Some(node) = queue.pop_front() {
        if inside(node).any(|other| other == start) {
            last = node;
            break;
        }
        queue.extend(inside(node).filter(|other| seen.insert(*other)));
    }
    [(start, target), (last, start)]
}
