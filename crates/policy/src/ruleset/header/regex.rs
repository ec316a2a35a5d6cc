//! Regular expressions of the user, fitted into a header's value.

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition};

use super::{ANYTHING, BLANKS, END, PatternMistake, Wanted, expression, parser};

/// What may follow the colon, one for each alternative of the expression.
pub(super) fn branches(text: &str, ignore_case: bool) -> Result<Vec<Wanted>, PatternMistake> {
    let parsed = parser().case_insensitive(ignore_case).build().parse(text);
    let hir = parsed.map_err(|error| syntax(&error))?;
    let shortest = hir.properties().minimum_len().ok_or(PatternMistake::NeverMatches)?;
    if shortest == 0 {
        return Err(PatternMistake::MatchesEmpty);
    }
    alternatives(&hir).into_iter().map(Branch::fit).collect()
}

pub(super) fn syntax(error: &regex_syntax::Error) -> PatternMistake {
    let (message, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), Some(*error.span())),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), Some(*error.span())),
        _ => (error.to_string(), None),
    };
    let at = span.map_or(0..0, |span| span.start.offset..span.end.offset);
    PatternMistake::Syntax { message, at }
}

/// One alternative, with the anchors taken off its ends.
#[derive(Default)]
struct Branch<'a> {
    from_start: bool,
    middle: Vec<&'a Hir>,
    to_end: bool,
}

/// The alternatives at the top of an expression; groups around them are looked through.
fn alternatives(hir: &Hir) -> Vec<Branch<'_>> {
    match hir.kind() {
        HirKind::Capture(group) => alternatives(&group.sub),
        HirKind::Alternation(all) => all.iter().flat_map(alternatives).collect(),
        HirKind::Concat(parts) => sequence(parts),
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_) => vec![Branch { middle: vec![hir], ..Branch::default() }],
    }
}

/// `^`, something, `$`. A group at one of the ends may hold the anchor: `^(?:a|b$)`.
fn sequence(parts: &[Hir]) -> Vec<Branch<'_>> {
    let is = |hir: &Hir, look| matches!(hir.kind(), HirKind::Look(found) if *found == look);
    let (from_start, parts) = match parts {
        [first, rest @ ..] if is(first, Look::Start) => (true, rest),
        _ => (false, parts),
    };
    let (to_end, parts) = match parts {
        [rest @ .., last] if is(last, Look::End) => (true, rest),
        _ => (false, parts),
    };
    let mut all = match parts {
        [only] => alternatives(only),
        _ => vec![Branch { middle: parts.iter().collect(), ..Branch::default() }],
    };
    for branch in &mut all {
        branch.from_start |= from_start;
        branch.to_end |= to_end;
    }
    all
}

impl Branch<'_> {
    fn fit(self) -> Result<Wanted, PatternMistake> {
        let before = expression(if self.from_start { BLANKS } else { ANYTHING })?;
        let mut parts = self.middle.into_iter().map(on_one_line).collect::<Result<Vec<_>, _>>()?;
        if self.to_end {
            parts.push(expression(END)?);
        }
        Ok(Wanted { before, rest: Hir::concat(parts) })
    }
}

/// The same expression, but `.` and classes never match a line end.
fn on_one_line(hir: &Hir) -> Result<Hir, PatternMistake> {
    Ok(match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => {
            return Err(PatternMistake::LineEnd);
        }
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(class) => {
            let mut bytes = match class {
                Class::Bytes(bytes) => bytes.clone(),
                Class::Unicode(characters) => characters.to_byte_class().ok_or(PatternMistake::LookAround)?,
            };
            bytes.difference(&line_ends());
            if bytes.ranges().is_empty() {
                return Err(PatternMistake::LineEnd);
            }
            Hir::class(Class::Bytes(bytes))
        }
        HirKind::Look(Look::Start | Look::End) => return Err(PatternMistake::AnchorInside),
        HirKind::Look(_) => return Err(PatternMistake::LookAround),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            min: repetition.min,
            max: repetition.max,
            greedy: repetition.greedy,
            sub: Box::new(on_one_line(&repetition.sub)?),
        }),
        // Nobody asks what a group has matched.
        HirKind::Capture(group) => on_one_line(&group.sub)?,
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(on_one_line).collect::<Result<_, _>>()?),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(on_one_line).collect::<Result<_, _>>()?)
        }
    })
}

fn line_ends() -> ClassBytes {
    ClassBytes::new([ClassBytesRange::new(b'\n', b'\n'), ClassBytesRange::new(b'\r', b'\r')])
}
