//! Where boxes and arrows go: stages in columns by depth, and arrows that pass a column through gaps of their own (the method of Sugiyama,
//! Tagawa and Toda, 1981, with whole numbers and a fixed number of rounds).

use std::collections::BTreeMap;

/// The size of a box, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Where a box is: its left upper corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: usize,
    pub(super) y: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of each box.
    pub(super) places: Vec<Place>,
    /// Of each arrow, the points that it goes through: pairs of the left and the right end of the gap in a column, beginning with
    /// the right side of a box and ending with the left side of one.
    pub(super) arrows: Vec<Vec<Place>>,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The distance between columns, in which arrows bend.
const BETWEEN_COLUMNS: usize = 64;
/// The distance between boxes of one column.
const BETWEEN_ROWS: usize = 24;
/// The height of a gap for an arrow.
const GAP: usize = 8;
/// How many gaps there may be in all; beyond it, arrows go straight.
const MAX_GAPS: usize = 20_000;
/// How often the columns are sorted.
const ROUNDS: usize = 6;

/// A box, or a gap for an arrow.
#[derive(Clone, Copy)]
struct Vertex {
    column: usize,
    size: Size,
}

struct Sketch {
    vertices: Vec<Vertex>,
    columns: Vec<Vec<usize>>,
    before: BTreeMap<usize, Vec<usize>>,
    after: BTreeMap<usize, Vec<usize>>,
}

/// Lays boxes out of which each comes after those that `arrows` name as its first; boxes are in an order in which arrows only go on.
pub(super) fn layout(sizes: &[Size], arrows: &[(usize, usize)]) -> Layout {
    let mut depths = vec![0_usize; sizes.len()];
    // Those of a later box come later, because boxes are in order.
    let mut sorted = arrows.to_vec();
    sorted.sort_by_key(|(_, to)| *to);
    for (from, to) in &sorted {
        let least = depth(&depths, *from).saturating_add(1);
        if let Some(depth) = depths.get_mut(*to) {
            *depth = (*depth).max(least);
        }
    }
    let mut sketch = Sketch::of(sizes, &depths);
    let spans = arrows
        .iter()
        .map(|(from, to)| depth(&depths, *to).saturating_sub(depth(&depths, *from)).saturating_sub(1));
    let with_gaps = spans.fold(0_usize, usize::saturating_add) <= MAX_GAPS;
    let chains: Vec<Vec<usize>> = arrows
        .iter()
        .map(|(from, to)| {
            sketch.connect((*from, depth(&depths, *from)), (*to, depth(&depths, *to)), with_gaps)
        })
        .collect();
    for round in 0..ROUNDS {
        sketch.sort(round % 2 == 0);
    }
    sketch.finish(sizes.len(), &chains)
}

fn depth(depths: &[usize], place: usize) -> usize {
    depths.get(place).copied().unwrap_or_default()
}

impl Sketch {
    fn of(sizes: &[Size], depths: &[usize]) -> Self {
        let vertices: Vec<Vertex> =
            sizes.iter().zip(depths).map(|(size, column)| Vertex { column: *column, size: *size }).collect();
        let count = depths.iter().max().map_or(0, |deepest| deepest.saturating_add(1));
        let mut columns = vec![Vec::new(); count];
        for (vertex, column) in depths.iter().enumerate() {
            if let Some(column) = columns.get_mut(*column) {
                column.push(vertex);
            }
        }
        Self { vertices, columns, before: BTreeMap::new(), after: BTreeMap::new() }
    }

    /// The vertices that an arrow goes through, both boxes included.
    fn connect(&mut self, from: (usize, usize), to: (usize, usize), with_gaps: bool) -> Vec<usize> {
        let mut chain = vec![from.0];
        if with_gaps {
            for column in from.1.saturating_add(1)..to.1 {
                let gap = self.vertices.len();
                self.vertices.push(Vertex { column, size: Size { width: 0, height: GAP } });
                if let Some(column) = self.columns.get_mut(column) {
                    column.push(gap);
                }
                chain.push(gap);
            }
        }
        chain.push(to.0);
        for (one, next) in chain.iter().zip(chain.iter().skip(1)) {
            self.after.entry(*one).or_default().push(*next);
            self.before.entry(*next).or_default().push(*one);
        }
        chain
    }

    /// Sorts each column by the middle of its neighbours in the column before it, or behind it.
    fn sort(&mut self, forwards: bool) {
        let mut rank = vec![0_usize; self.vertices.len()];
        let note = |column: &[usize], rank: &mut Vec<usize>| {
            for (place, vertex) in column.iter().enumerate() {
                if let Some(rank) = rank.get_mut(*vertex) {
                    *rank = place.saturating_mul(2000) / column.len().max(1);
                }
            }
        };
        self.columns.iter().for_each(|column| note(column, &mut rank));
        let neighbours = if forwards { &self.before } else { &self.after };
        let count = self.columns.len();
        for step in 0..count {
            let at = if forwards { step } else { count.saturating_sub(step).saturating_sub(1) };
            let Some(column) = self.columns.get_mut(at) else { continue };
            column.sort_by_cached_key(|vertex| {
                let near = neighbours.get(vertex).map_or(&[][..], Vec::as_slice);
                let own = rank.get(*vertex).copied().unwrap_or_default();
                let sum: usize = near.iter().filter_map(|other| rank.get(*other)).sum();
                sum.checked_div(near.len()).unwrap_or(own)
            });
            note(column, &mut rank);
        }
    }

    fn finish(self, boxes: usize, chains: &[Vec<usize>]) -> Layout {
        let height_of = |column: &[usize]| {
            let heights = column
                .iter()
                .filter_map(|vertex| self.vertices.get(*vertex))
                .map(|vertex| vertex.size.height);
            heights.sum::<usize>().saturating_add(BETWEEN_ROWS.saturating_mul(column.len().saturating_sub(1)))
        };
        let width_of = |column: &[usize]| {
            column
                .iter()
                .filter_map(|vertex| self.vertices.get(*vertex))
                .map(|vertex| vertex.size.width)
                .max()
                .unwrap_or_default()
        };
        let height = self.columns.iter().map(|column| height_of(column)).max().unwrap_or_default();
        let mut corners = vec![Place::default(); self.vertices.len()];
        let mut lefts = Vec::new();
        let mut x = 0_usize;
        for column in &self.columns {
            let width = width_of(column);
            let mut y = height.saturating_sub(height_of(column)) / 2;
            for vertex in column {
                if let (Some(corner), Some(drawn)) = (corners.get_mut(*vertex), self.vertices.get(*vertex)) {
                    *corner = Place { x: x.saturating_add(width.saturating_sub(drawn.size.width) / 2), y };
                    y = y.saturating_add(drawn.size.height).saturating_add(BETWEEN_ROWS);
                }
            }
            lefts.push((x, width));
            x = x.saturating_add(width).saturating_add(BETWEEN_COLUMNS);
        }
        let middle = |vertex: usize| {
            let (drawn, corner) = (self.vertices.get(vertex)?, corners.get(vertex)?);
            let (left, width) = lefts.get(drawn.column).copied()?;
            let y = corner.y.saturating_add(drawn.size.height / 2);
            // A gap is as wide as its column.
            let (from, to) = if vertex < boxes {
                (corner.x, corner.x.saturating_add(drawn.size.width))
            } else {
                (left, left.saturating_add(width))
            };
            Some((Place { x: from, y }, Place { x: to, y }))
        };
        let arrows = chains.iter().map(|chain| {
            let ends: Vec<_> = chain
                .iter()
                .filter_map(|vertex| middle(*vertex))
                .flat_map(|(left, right)| [left, right])
                .collect();
            // From the right side of the first box to the left side of the last one.
            let inner = ends.len().saturating_sub(1);
            ends.into_iter().take(inner).skip(1).collect()
        });
        Layout {
            arrows: arrows.collect(),
            width: x.saturating_sub(BETWEEN_COLUMNS),
            height,
            places: corners.iter().take(boxes).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Random graphs in which arrows only go on, and boxes of random sizes.
    fn graphs() -> impl Strategy<Value = (Vec<Size>, Vec<(usize, usize)>)> {
        (1_usize..40).prop_flat_map(|boxes| {
            let size = (20_usize..300, 20_usize..200).prop_map(|(width, height)| Size { width, height });
            let arrow = (0..boxes, 0..boxes).prop_filter_map("backwards", |(a, b)| (a < b).then_some((a, b)));
            let arrows = proptest::collection::btree_set(arrow, 0..boxes * 2);
            (
                proptest::collection::vec(size, boxes),
                if boxes > 1 { arrows.boxed() } else { Just(Default::default()).boxed() },
            )
                .prop_map(|(sizes, arrows)| (sizes, arrows.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn boxes_lie_apart_within_the_picture_and_arrows_go_on_without_crossing_one((sizes, arrows) in graphs()) {
            let drawn = layout(&sizes, &arrows);
            let boxes: Vec<_> = drawn.places.iter().zip(&sizes).map(|(place, size)| (place.x, place.y, place.x + size.width, place.y + size.height)).collect();
            for (at, one) in boxes.iter().enumerate() {
                prop_assert!(one.2 <= drawn.width && one.3 <= drawn.height);
                for other in &boxes[at + 1..] {
                    let apart = one.2 <= other.0 || other.2 <= one.0 || one.3 <= other.1 || other.3 <= one.1;
                    prop_assert!(apart, "{one:?} and {other:?}");
                }
            }
            for ((from, to), points) in arrows.iter().zip(&drawn.arrows) {
                prop_assert_eq!(points[0].x, boxes[*from].2);
                prop_assert_eq!(points[points.len() - 1].x, boxes[*to].0);
                prop_assert!(points.windows(2).all(|pair| pair[0].x <= pair[1].x));
                // The straight parts, which pass columns; the bends lie between columns, where no boxes are.
                for pair in points[1..points.len() - 1].chunks(2) {
                    let (left, right, y) = (pair[0].x, pair[1].x, pair[0].y);
                    prop_assert!(boxes.iter().all(|one| right <= one.0 || one.2 <= left || y < one.1 || one.3 < y));
                }
            }
        }
    }

    #[test]
    fn a_diamond_has_three_columns_and_its_sides_beside_each_other() {
        let size = Size { width: 100, height: 40 };
        let drawn = layout(&[size; 4], &[(0, 1), (0, 2), (1, 3), (2, 3)]);
        let at: Vec<_> = drawn.places.iter().map(|place| (place.x, place.y)).collect();
        assert_eq!(at, [(0, 32), (164, 0), (164, 64), (328, 32)]);
        assert_eq!((drawn.width, drawn.height), (428, 104));
    }
}
