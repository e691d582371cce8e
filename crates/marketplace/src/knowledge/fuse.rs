//! Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): one ranking out of several whose scores
//! cannot be compared.

use std::{collections::HashMap, hash::Hash};

/// How much the first places count against the later ones; the paper's constant.
const DAMPING: f64 = 60.0;

/// Merges rankings, best first. Items that are equally good keep the order in which they were met.
pub fn fuse<T: Copy + Eq + Hash>(rankings: &[Vec<T>]) -> Vec<(T, f64)> {
    let mut met: HashMap<T, usize> = HashMap::new();
    let mut fused: Vec<(T, f64)> = Vec::new();
    for ranking in rankings {
        let mut rank = DAMPING;
        for item in ranking {
            rank += 1.0;
            let at = *met.entry(*item).or_insert_with(|| {
                fused.push((*item, 0.0));
                fused.len() - 1
            });
            if let Some((_, score)) = fused.get_mut(at) {
                *score += 1.0 / rank;
            }
        }
    }
    fused.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(rankings: &[Vec<u32>]) -> Vec<u32> {
        fuse(rankings).into_iter().map(|(item, _)| item).collect()
    }

    #[test]
    fn what_two_rankings_like_comes_first() {
        assert_eq!(order(&[vec![1, 2, 3], vec![4, 2, 5]]), [2, 1, 4, 3, 5]);
    }

    #[test]
    fn scores_are_the_papers() {
        let fused = fuse(&[vec!["a"], vec!["b", "a"]]);
        let score = fused.first().map(|(item, score)| (*item, *score));
        assert_eq!(score, Some(("a", 1.0 / 61.0 + 1.0 / 62.0)));
    }

    #[test]
    fn rankings_of_different_things_take_turns() {
        assert_eq!(order(&[vec![1, 2], vec![11, 12]]), [1, 11, 2, 12]);
        assert!(order(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn one_ranking_stays_as_it_is(items in proptest::collection::hash_set(any::<u32>(), 0..50)) {
            let ranking: Vec<u32> = items.into_iter().collect();
            prop_assert_eq!(order(std::slice::from_ref(&ranking)), ranking);
        }

        #[test]
        fn nothing_is_lost_or_doubled(rankings in proptest::collection::vec(
            proptest::collection::hash_set(0_u32..40, 0..20), 0..4)) {
            let rankings: Vec<Vec<u32>> = rankings.into_iter().map(|set| set.into_iter().collect()).collect();
            let mut all: Vec<u32> = rankings.concat();
            all.sort_unstable();
            all.dedup();
            let mut fused = order(&rankings);
            fused.sort_unstable();
            prop_assert_eq!(fused, all);
        }
    }
}
