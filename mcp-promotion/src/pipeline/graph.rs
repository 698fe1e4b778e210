//! Which stages come after which: cycles, and what lies behind them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Stages by their place, and for each the places of those that it comes after, in ascending order and each once. Everything here takes time in
/// proportion to stages and edges, and no stack.
pub(super) struct Graph {
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
}

impl Graph {
    pub(super) fn new(before: Vec<Vec<usize>>) -> Self {
        let mut after = vec![Vec::new(); before.len()];
        for (place, befores) in before.iter().enumerate() {
            for before in befores {
                if let Some(list) = after.get_mut(*before) {
                    list.push(place);
                }
            }
        }
        Self { before, after }
    }

    pub(super) fn before(&self, place: usize) -> &[usize] {
        self.before.get(place).map_or(&[], Vec::as_slice)
    }

    pub(super) fn after(&self, place: usize) -> &[usize] {
        self.after.get(place).map_or(&[], Vec::as_slice)
    }

    /// Every place behind those that it comes after, and otherwise as early as it was given; those in a cycle, or behind one, are missing.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut open: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let begin = open.iter().enumerate().filter(|(_, open)| **open == 0);
        let mut ready: BinaryHeap<Reverse<usize>> = begin.map(|(place, _)| Reverse(place)).collect();
        let mut order = Vec::with_capacity(self.before.len());
        while let Some(Reverse(place)) = ready.pop() {
            order.push(place);
            for after in self.after(place) {
                if let Some(open) = open.get_mut(*after) {
                    *open = open.saturating_sub(1);
                    if *open == 0 {
                        ready.push(Reverse(*after));
                    }
                }
            }
        }
        order
    }

    /// One cycle through each group of places that lie on cycles with each other, in the direction in which releases go: each after the one
    /// before it, and the first after the last. It begins with the earliest place that it goes through, and cycles are in the order of these.
    pub(super) fn cycles(&self) -> Vec<Vec<usize>> {
        let groups = self.groups();
        let mut cycles = Vec::new();
        for group in groups {
            let Some(&first) = group.first() else { continue };
            let looped = self.before(first).contains(&first);
            if group.len() == 1 && !looped {
                continue;
            }
            let members: BTreeSet<usize> = group.into_iter().collect();
            // Backwards from the earliest place, until a place comes again: within a group every place has one before it.
            let mut seen = vec![first];
            let mut position = BTreeMap::from([(first, 0_usize)]);
            let mut here = first;
            while let Some(next) = self.before(here).iter().copied().find(|place| members.contains(place)) {
                if let Some(start) = position.get(&next) {
                    let mut cycle: Vec<usize> = seen.iter().skip(*start).copied().collect();
                    cycle.reverse();
                    let earliest = cycle.iter().enumerate().min_by_key(|(_, place)| **place);
                    let turn = earliest.map_or(0, |(at, _)| at);
                    cycle.rotate_left(turn);
                    cycles.push(cycle);
                    break;
                }
                position.insert(next, seen.len());
                seen.push(next);
                here = next;
            }
        }
        cycles.sort();
        cycles
    }

    /// The strongly connected groups (Kosaraju's algorithm), each in ascending order.
    fn groups(&self) -> Vec<Vec<usize>> {
        let all = self.before.len();
        let mut finished = Vec::with_capacity(all);
        let mut seen = vec![false; all];
        for root in 0..all {
            match seen.get_mut(root) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            let mut stack = vec![(root, 0_usize)];
            while let Some((place, next)) = stack.pop() {
                match self.after(place).get(next) {
                    None => finished.push(place),
                    Some(after) => {
                        stack.push((place, next.saturating_add(1)));
                        if let Some(seen) = seen.get_mut(*after)
                            && !*seen
                        {
                            *seen = true;
                            stack.push((*after, 0));
                        }
                    }
                }
            }
        }
        let mut grouped = vec![false; all];
        let mut groups = Vec::new();
        while let Some(root) = finished.pop() {
            let mut group = Vec::new();
            let mut stack = vec![root];
            while let Some(place) = stack.pop() {
                if let Some(grouped) = grouped.get_mut(place)
                    && !*grouped
                {
                    *grouped = true;
                    group.push(place);
                    stack.extend(self.before(place));
                }
            }
            if !group.is_empty() {
                group.sort_unstable();
                groups.push(group);
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(before: &[&[usize]]) -> Graph {
        Graph::new(before.iter().map(|list| list.to_vec()).collect())
    }

    #[test]
    fn places_come_in_the_order_given_as_far_as_they_can() {
        assert_eq!(graph(&[&[1, 2], &[3], &[3], &[], &[]]).order(), [3, 1, 2, 0, 4]);
    }

    #[test]
    fn each_tangle_of_cycles_shows_one_of_them_and_what_hangs_on_it_shows_none() {
        // 0 after 2 after 1 after 0; 3 behind it; 4 after itself; 5 and 6 after each other.
        let tangled = graph(&[&[2], &[0], &[1], &[0], &[4], &[6], &[5, 6]]);
        assert_eq!(tangled.cycles(), [vec![0, 1, 2], vec![4], vec![5, 6]]);
        assert_eq!(tangled.order(), [0_usize; 0]);
        assert_eq!(graph(&[&[], &[0], &[0, 1]]).cycles(), [[0_usize; 0]; 0]);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_and_its_cycle_need_no_stack() {
        let mut before: Vec<Vec<usize>> =
            (0..100_000_usize).map(|place| place.checked_sub(1).into_iter().collect()).collect();
        let chain = Graph::new(before.clone());
        assert_eq!((chain.order().len(), chain.cycles().len()), (100_000, 0));
        before[0] = vec![99_999];
        let circle = Graph::new(before);
        assert_eq!((circle.order().len(), circle.cycles()[0].len()), (0, 100_000));
    }
}
