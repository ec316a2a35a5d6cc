use super::*;

const SIGNS: &[u8] = b"\",:;<=>?@[\\]";

/// Everything that is told of a message, byte by byte, as the rules say it.
#[derive(Debug, Default, Eq, PartialEq)]
struct Told {
    signs: Vec<usize>,
    ends: Vec<usize>,
    body_at: Option<usize>,
    has_bare_return: bool,
}

fn by_rule(message: &[u8]) -> Told {
    let mut told = Told::default();
    let mut line_at = 0;
    for (at, &byte) in message.iter().enumerate() {
        if byte <= b' ' || SIGNS.contains(&byte) {
            told.signs.push(at);
        }
        if byte == b'\r' {
            told.has_bare_return |= message.get(at + 1).is_some_and(|&next| next != b'\n');
        }
        if byte == b'\n' {
            told.ends.push(at);
            // Nothing but the line end; the first line is none of the headers.
            if line_at > 0 && matches!(&message[line_at..at], [] | [b'\r']) {
                told.body_at = Some(at + 1);
                return told;
            }
            line_at = at + 1;
        }
    }
    told
}

fn by_scan(message: &[u8]) -> Told {
    let (mut scan, mut signs) = (Scan::new(), Signs::new());
    let mut told = Told::default();
    scan.go_on(message, &mut signs);
    while !scan.ends().is_empty() {
        told.ends.extend(scan.ends().iter().map(|end| usize::from(*end)));
        scan.go_on(message, &mut signs);
    }
    (told.body_at, told.has_bare_return) = (scan.body_at(), scan.has_bare_return());
    let end = told.body_at.unwrap_or(message.len());
    let mut walk = signs.walk(&message[..end], 0).unwrap();
    while let Some((place, _)) = walk.next() {
        told.signs.push(place);
    }
    told
}

#[test]
fn every_sign_is_found_wherever_it_stands() {
    for len in [1, 20, 40, 63, 64, 65, 127, 128, 129, 200] {
        for byte in 0..=u8::MAX {
            let mut text = vec![b'x'; len];
            text[len - 1] = byte;
            let (mut scan, mut signs) = (Scan::new(), Signs::new());
            scan.go_on(&text, &mut signs);
            let is_sign = byte <= b' ' || SIGNS.contains(&byte);
            assert_eq!(signs.first(&text, 0), is_sign.then_some((len - 1, byte)), "{byte} of {len}");
            let ends: &[u16] = if byte == b'\n' { &[u16::try_from(len - 1).unwrap()] } else { &[] };
            assert_eq!(scan.ends(), ends);
            assert_eq!(scan.may_be_odd(), byte == 0 || byte >= 0x80);
            assert_eq!(scan.may_have_percent(), byte == b'%');
        }
    }
}

#[test]
fn line_ends_are_found_wherever_they_stand() {
    let tails = [
        "\r\n\r\nx\n\r",
        "\n\nx",
        "\r\n\nx",
        "\n\r\nx",
        "\r\r\n\r\n",
        "\r\n\r\r\n",
        "\rx\r\n",
        "\r",
        "\r\n\r",
        "\n",
        "",
    ];
    for filling in 1..140 {
        for tail in tails {
            let text = ["x".repeat(filling).as_str(), tail, ";"].concat();
            for text in [text.as_bytes(), &text.as_bytes()[..text.len() - 1]] {
                assert_eq!(by_scan(text), by_rule(text), "{:?}", text.escape_ascii().to_string());
            }
        }
    }
}

#[test]
fn any_number_of_lines_is_told() {
    for lines in [1, 2, 3, 62, 63, 64, 65, 128, 129, 700] {
        for line in ["\n", "x\n", "x:y\r\n", "x\r\n"] {
            let text = ["x\r\n", line.repeat(lines).as_str()].concat();
            let text = &text.as_bytes()[..text.len().min(2048)];
            assert_eq!(by_scan(text), by_rule(text), "{lines} of {line:?}");
        }
    }
}

/// `dispatch` takes the widest; these are what other processors have.
#[test]
fn each_width_of_vectors_finds_what_the_rules_say() {
    let levels = [Some(Level::baseline()), Some(Level::new()), narrower(1), narrower(2)];
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(1024).collect();
    for (at, step) in (0..64).flat_map(|at| [(at, 1), (at, 3), (at, 5)]) {
        let block: [u8; BLOCK] = std::array::from_fn(|place| bytes[(at * 13 + place * step) % bytes.len()]);
        let mask = |is: &dyn Fn(u8) -> bool| {
            block.iter().enumerate().fold(0_u64, |mask, (place, byte)| mask | u64::from(is(*byte)) << place)
        };
        let expected = [
            mask(&|byte| byte <= b' ' || SIGNS.contains(&byte)),
            mask(&|byte| byte == b'\n'),
            mask(&|byte| byte == b'\r'),
            mask(&|byte| byte == b'%'),
            mask(&|byte| byte == 0 || byte >= 0x80),
        ];
        for level in levels.into_iter().flatten() {
            assert_eq!(dispatch!(level, simd => bits(Block::of(simd, &block))), expected, "{level:?}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn narrower(than_widest: usize) -> Option<Level> {
    let level = Level::new();
    let all = [level.as_avx2().map(Simd::level), level.as_sse4_2().map(Simd::level)];
    all.get(than_widest - 1).copied().flatten()
}

#[cfg(not(target_arch = "x86_64"))]
fn narrower(_: usize) -> Option<Level> {
    None
}

fn bits(block: Block) -> [u64; 5] {
    [block.signs, block.line_feeds, block.returns, block.percents, block.odd]
}
