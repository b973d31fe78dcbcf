//! What a batch load answers: every key gets something, for a dataloader takes a missing answer for a failure.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::error::DbError;

/// One answer for each key, the default one where no row is about it; where the database failed, its error for each.
pub fn by_key<K: Copy + Eq + Hash, T, A: Clone + Default>(
    keys: &[K],
    rows: Result<Vec<T>, DbError>,
    answer: impl Fn(T) -> (K, A),
) -> HashMap<K, Result<A, DbError>> {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return keys.iter().map(|&key| (key, Err(error.clone()))).collect(),
    };
    let mut answers: HashMap<K, A> = keys.iter().map(|&key| (key, A::default())).collect();
    answers.extend(rows.into_iter().map(answer));
    answers.into_iter().map(|(key, answer)| (key, Ok(answer))).collect()
}

/// All that belongs to each key, in the order of the rows; where the database failed, its error for each.
pub fn grouped<K: Copy + Eq + Hash, T, M>(
    keys: &[K],
    rows: Result<Vec<T>, DbError>,
    member: impl Fn(T) -> (K, M),
) -> HashMap<K, Result<Arc<[M]>, DbError>> {
    let groups = rows.map(|rows| {
        let mut groups: HashMap<K, Vec<M>> = HashMap::new();
        for (key, member) in rows.into_iter().map(member) {
            groups.entry(key).or_default().push(member);
        }
        groups.into_iter().collect()
    });
    by_key(keys, groups, |(key, members): (K, Vec<M>)| (key, Arc::from(members)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers by key, errors as nothing.
    fn told<A: Clone>(answers: &HashMap<u8, Result<A, DbError>>) -> Vec<(u8, Option<A>)> {
        let mut told: Vec<_> = answers.iter().map(|(&key, answer)| (key, answer.clone().ok())).collect();
        told.sort_by_key(|(key, _)| *key);
        told
    }

    #[test]
    fn every_key_is_answered() {
        let rows = || Ok(vec![(3, 'c'), (1, 'a')]);
        let answers = by_key(&[1, 2, 3], rows(), |(key, letter)| (key, Some(letter)));
        assert_eq!(told(&answers), [(1, Some(Some('a'))), (2, Some(None)), (3, Some(Some('c')))]);
        let groups = grouped(&[1, 2, 3], rows(), |row| row);
        let expected: [(u8, Option<Arc<[char]>>); 3] =
            [(1, Some(['a'].into())), (2, Some([].into())), (3, Some(['c'].into()))];
        assert_eq!(told(&groups), expected);
    }

    #[test]
    fn a_group_is_in_the_order_of_the_rows() {
        let groups = grouped(&[1, 2], Ok(vec![(2, 'b'), (1, 'x'), (2, 'a')]), |row| row);
        let expected: [(u8, Option<Arc<[char]>>); 2] = [(1, Some(['x'].into())), (2, Some(['b', 'a'].into()))];
        assert_eq!(told(&groups), expected);
    }

    #[test]
    fn an_error_is_every_keys() {
        let failed = || Err::<Vec<(u8, char)>, _>(DbError::Busy);
        assert_eq!(told(&by_key(&[1, 2], failed(), |(key, letter)| (key, Some(letter)))), [(1, None), (2, None)]);
        assert_eq!(told(&grouped(&[1, 2], failed(), |row| row)), [(1, None), (2, None)]);
    }
}
