//! What the name of a caller says about who sends the call.

/// Whether a caller's name is a number of the telephone network, or withheld, rather than an account: a carrier brings a new
/// one with each call.
pub(crate) fn is_from_network(name: &[u8]) -> bool {
    const WITHHELD: [&[u8]; 4] = [b"anonymous", b"restricted", b"unavailable", b"unknown"];
    is_telephone_number(name) || WITHHELD.iter().any(|word| name.eq_ignore_ascii_case(word))
}

fn is_telephone_number(name: &[u8]) -> bool {
    // With a country code and without; extensions are shorter.
    const SHORTEST_SIGNED: usize = 7;
    const SHORTEST: usize = 9;
    let is_separator = |byte: u8| matches!(byte, b'-' | b'.' | b'(' | b')');
    let digits = name.iter().filter(|byte| byte.is_ascii_digit()).count();
    let (sign, rest) = name.strip_prefix(b"+").map_or((false, name), |rest| (true, rest));
    digits >= if sign { SHORTEST_SIGNED } else { SHORTEST }
        && rest.iter().all(|byte| byte.is_ascii_digit() || is_separator(*byte))
}

#[cfg(test)]
mod tests {
    use super::is_from_network;

    #[test]
    fn numbers_and_names() {
        for name in ["+4917012345", "+1-555-0100", "004917012345", "Anonymous", "unknown"] {
            assert!(is_from_network(name.as_bytes()), "{name}");
        }
        for name in ["", "+", "100", "+4911", "12345678", "alice", "+49x", "agent007123456"] {
            assert!(!is_from_network(name.as_bytes()), "{name}");
        }
    }
}
