//! Names for what has no name that a file could have.

/// Stands for a text in the name of a file. It stays the same from one version of this program to the next (FNV-1a).
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    /// The test vectors of the algorithm's authors.
    #[test]
    fn is_the_one_that_is_known() {
        assert_eq!(super::digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::digest(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
