//! Likeness of texts by the angle between their vectors.

use std::cmp::Ordering;

/// Positions of the vectors that are most like `asked`, best first, at most `limit`. Vectors of
/// another length, or of no length at all, are like nothing.
pub(super) fn nearest(vectors: &[Vec<f32>], asked: &[f32], limit: usize) -> Vec<usize> {
    let mut ranked: Vec<(usize, f32)> = vectors
        .iter()
        .enumerate()
        .filter_map(|(at, vector)| Some((at, cosine(vector, asked)?)))
        .collect();
    ranked.sort_by(|(a, left), (b, right)| right.partial_cmp(left).unwrap_or(Ordering::Equal).then(a.cmp(b)));
    ranked.into_iter().take(limit).map(|(at, _)| at).collect()
}

fn cosine(left: &[f32], right: &[f32]) -> Option<f32> {
    if left.len() != right.len() {
        return None;
    }
    let dot: f32 = left.iter().zip(right).map(|(a, b)| a * b).sum();
    let lengths = norm(left) * norm(right);
    let cosine = dot / lengths;
    (lengths > 0.0 && cosine.is_finite()).then_some(cosine)
}

fn norm(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_angle_comes_first() {
        let vectors = [vec![0.0, 1.0], vec![2.0, 0.1], vec![1.0, 1.0]];
        assert_eq!(nearest(&vectors, &[1.0, 0.0], 2), [1, 2]);
    }

    #[test]
    fn what_has_no_direction_is_like_nothing() {
        let vectors = [vec![0.0, 0.0], vec![1.0], vec![f32::NAN, 1.0], vec![1.0, 0.0]];
        assert_eq!(nearest(&vectors, &[1.0, 0.0], 9), [3]);
    }
}
