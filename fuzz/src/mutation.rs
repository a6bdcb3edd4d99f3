//! Inputs that are nearly like others.

use fastrand::Rng;

/// What is worth to be put anywhere.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"\0",
    b"\"",
    b"'",
    b"\\",
    b"}",
    b"{",
    b"[",
    b"]",
    b",",
    b":",
    b"/",
    b"..",
    b"../",
    b"//",
    b"$(id)",
    b"`id`",
    b"%2F",
    b"%00",
    b"%",
    b"@",
    b"?",
    b"#",
    b"\xff",
    b"\xc3\x28",
    "\u{202e}".as_bytes(),
    "\u{feff}".as_bytes(),
    b"-1",
    b"0",
    b"1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775808",
    b"1e400",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\\u0000",
    b"\\ud800",
    b"[[[[[[[[[[[[[[[[",
    b" ",
    b"\t",
    b"\r\n",
    b"\x1b[2J",
    b"+",
    b"_",
    b"::1",
    b"0.0.0.0:0",
    b"65536",
];
/// The longest input.
const LONGEST: usize = 8192;

pub(crate) fn mutated(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = inputs[rng.usize(..inputs.len())].clone();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..=input.len());
        let end = (at + rng.usize(..16)).min(input.len());
        match rng.u8(..7) {
            0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
            1 => drop(input.splice(at..at, WORDS[rng.usize(..WORDS.len())].iter().copied())),
            2 => drop(input.splice(at..end, WORDS[rng.usize(..WORDS.len())].iter().copied())),
            3 => drop(input.drain(at..end)),
            4 => input.truncate(at),
            5 => {
                let other = &inputs[rng.usize(..inputs.len())];
                let from = rng.usize(..=other.len());
                input.splice(at..at, other[from..].iter().copied());
            }
            _ => {
                let piece = input[at..end].to_vec();
                for _ in 0..rng.usize(..8) {
                    input.splice(at..at, piece.iter().copied());
                }
            }
        }
        input.truncate(LONGEST);
    }
    input
}
