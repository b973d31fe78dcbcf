//! Paging by keyset, without words of GraphQL.

use std::ops::Range;

/// Which end of the list a page is cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The items after a position, in the order of the list.
    Forward,
    /// The items before a position: read backwards, answered in the order of the list.
    Backward,
}

/// A request for one page: at most `limit` items from one side of a position `K`, or from the end of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<K> {
    /// The number of items wanted, at least 1.
    pub limit: usize,
    /// Which way to read.
    pub direction: Direction,
    /// The position to start from, exclusive; the list's end where there is none.
    pub from: Option<K>,
}

/// One page, always in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether an item follows the last one.
    pub has_next: bool,
    /// Whether an item precedes the first one.
    pub has_previous: bool,
}

impl<K> PageRequest<K> {
    /// The same request with its position in other words.
    #[must_use]
    pub fn map<L>(self, position: impl FnOnce(K) -> L) -> PageRequest<L> {
        PageRequest { limit: self.limit, direction: self.direction, from: self.from.map(position) }
    }

    /// The number of rows to read: one more than wanted tells whether there are others.
    #[must_use]
    pub fn rows(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX - 1) + 1
    }

    /// Cuts the page out of rows that were read in the wanted direction, at most [`PageRequest::rows`] of them.
    ///
    /// Having come from a position means that there is an item on its side: the position itself.
    #[must_use]
    pub fn cut<T>(&self, mut rows: Vec<T>) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let behind = self.from.is_some();
        match self.direction {
            Direction::Forward => Page { items: rows, has_next: more, has_previous: behind },
            Direction::Backward => {
                rows.reverse();
                Page { items: rows, has_next: behind, has_previous: more }
            }
        }
    }

    /// Cuts the page out of a whole list that is in memory already. `place` finds the items that stand at a position: one, or
    /// an empty range between its neighbours where what stood there is gone. Nothing where the position is not of this list.
    #[must_use]
    pub fn slice<T: Clone>(&self, all: &[T], place: impl Fn(&K) -> Option<Range<usize>>) -> Option<Page<T>> {
        let at = match &self.from {
            Some(from) => Some(place(from)?),
            None => None,
        };
        let (start, end) = match self.direction {
            Direction::Forward => {
                let start = at.map_or(0, |place| place.end);
                (start, all.len().min(start.saturating_add(self.limit)))
            }
            Direction::Backward => {
                let end = at.map_or(all.len(), |place| place.start);
                (end.saturating_sub(self.limit), end)
            }
        };
        Some(Page { items: all[start..end].to_vec(), has_next: end < all.len(), has_previous: start > 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(direction: Direction, from: Option<usize>) -> PageRequest<usize> {
        PageRequest { limit: 2, direction, from }
    }

    #[test]
    fn a_page_is_cut_in_both_directions() {
        let page = request(Direction::Forward, None).cut(vec!['a', 'b', 'c']);
        assert_eq!(page, Page { items: vec!['a', 'b'], has_next: true, has_previous: false });
        let page = request(Direction::Backward, Some(3)).cut(vec!['c', 'b', 'a']);
        assert_eq!(page, Page { items: vec!['b', 'c'], has_next: true, has_previous: true });
        let page = request(Direction::Forward, Some(1)).cut(vec!['c']);
        assert_eq!(page, Page { items: vec!['c'], has_next: false, has_previous: true });
    }

    #[test]
    fn a_list_in_memory_is_cut_alike() {
        let all = ['a', 'b', 'c', 'd'];
        let find = |index: &usize| (*index < 4).then_some(*index..*index + 1);
        let page = request(Direction::Forward, Some(0)).slice(&all, find).unwrap();
        assert_eq!(page, Page { items: vec!['b', 'c'], has_next: true, has_previous: true });
        let page = request(Direction::Backward, None).slice(&all, find).unwrap();
        assert_eq!(page, Page { items: vec!['c', 'd'], has_next: false, has_previous: true });
        let page = request(Direction::Backward, Some(1)).slice(&all, find).unwrap();
        assert_eq!(page, Page { items: vec!['a'], has_next: true, has_previous: false });
        let page = request(Direction::Forward, Some(3)).slice(&all, find).unwrap();
        assert_eq!(page, Page { items: vec![], has_next: false, has_previous: true });
        for direction in [Direction::Forward, Direction::Backward] {
            assert_eq!(request(direction, Some(4)).slice(&all, find), None);
        }
    }

    #[test]
    fn a_list_in_memory_goes_on_where_an_item_was() {
        let all = ['a', 'b', 'd', 'e'];
        let gone = |_: &usize| Some(2..2);
        let page = request(Direction::Forward, Some(0)).slice(&all, gone).unwrap();
        assert_eq!(page, Page { items: vec!['d', 'e'], has_next: false, has_previous: true });
        let page = request(Direction::Backward, Some(0)).slice(&all, gone).unwrap();
        assert_eq!(page, Page { items: vec!['a', 'b'], has_next: true, has_previous: false });
    }
}
