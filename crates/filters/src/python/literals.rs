use super::ast::{Greed, Node};

/// Texts of which every match contains at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Needed {
    pub(crate) texts: Vec<String>,
    /// Case does not matter.
    pub(crate) fold: bool,
}

/// More alternatives are not told apart.
const MAX_TEXTS: usize = 24;
/// Texts do not grow longer.
const MAX_LENGTH: usize = 64;

/// What every match of a tree contains; `None` if nothing is sure.
pub(crate) fn needed(node: &Node) -> Option<Needed> {
    let mut best = None;
    let exact = walk(node, &mut best);
    if let Some(texts) = exact {
        offer(&mut best, &texts);
    }
    let texts = best?;
    let fold = texts.iter().any(|text| text.iter().any(|(_, fold)| *fold));
    let mut texts: Vec<String> =
        texts.iter().map(|text| text.iter().map(|(letter, _)| *letter).collect()).collect();
    texts.sort();
    texts.dedup();
    Some(Needed { texts, fold })
}

/// Letters, and whether their case does not matter.
type Text = Vec<(char, bool)>;

/// Takes a set if it is better than the best so far: its shortest text is longer.
fn offer(best: &mut Option<Vec<Text>>, texts: &[Text]) {
    let worth = |texts: &[Text]| texts.iter().map(Vec::len).min().unwrap_or(0);
    let new = worth(texts);
    if new > best.as_deref().map_or(0, worth) {
        *best = Some(texts.to_vec());
    }
}

/// All texts that a node can match, if they are few; what else it surely contains goes to `best`.
fn walk(node: &Node, best: &mut Option<Vec<Text>>) -> Option<Vec<Text>> {
    match node {
        Node::Empty | Node::Look(_) | Node::Around { .. } => Some(vec![Text::new()]),
        Node::Literal { letter, fold } => Some(vec![vec![(*letter, *fold && letter.is_alphabetic())]]),
        Node::Any { .. } | Node::Class(_) | Node::Back { .. } => None,
        Node::Group { node, .. } | Node::Atomic(node) => walk(node, best),
        Node::If { yes, no, .. } => either([&**yes, &**no].into_iter(), best),
        Node::Either(nodes) => either(nodes.iter(), best),
        Node::Repeat { node, min, max, greed } => repeat(node, *min, *max, *greed, best),
        Node::Concat(nodes) => concat(nodes, best),
    }
}

fn repeat(
    node: &Node,
    min: u32,
    max: Option<u32>,
    greed: Greed,
    best: &mut Option<Vec<Text>>,
) -> Option<Vec<Text>> {
    let mut inner = None;
    let exact = walk(node, &mut inner);
    if min > 0 {
        if let Some(inner) = inner.as_deref().or(exact.as_deref()) {
            offer(best, inner);
        }
        if let Some(exact) = exact.as_deref() {
            offer(best, exact);
        }
    }
    match (min, max, greed) {
        (1, Some(1), _) => exact,
        (0, Some(1), _) => {
            let mut texts = exact?;
            texts.push(Text::new());
            (texts.len() <= MAX_TEXTS).then_some(texts)
        }
        _ => None,
    }
}

fn either<'a>(nodes: impl Iterator<Item = &'a Node>, best: &mut Option<Vec<Text>>) -> Option<Vec<Text>> {
    let mut all_exact = Some(Vec::new());
    let mut sure = Some(Vec::new());
    for node in nodes {
        let mut inner = None;
        let exact = walk(node, &mut inner);
        if let Some(exact) = exact.as_deref() {
            offer(&mut inner, exact);
        }
        all_exact = all_exact.zip(exact).map(|(mut all, exact)| {
            all.extend(exact);
            all
        });
        sure = sure.zip(inner).map(|(mut all, inner): (Vec<Text>, Vec<Text>)| {
            all.extend(inner);
            all
        });
    }
    if let Some(sure) = sure.filter(|sure| sure.len() <= MAX_TEXTS) {
        offer(best, &sure);
    }
    all_exact.filter(|all| all.len() <= MAX_TEXTS)
}

/// Texts grow along a row of nodes as long as each is known whole.
fn concat(nodes: &[Node], best: &mut Option<Vec<Text>>) -> Option<Vec<Text>> {
    let mut run: Vec<Text> = vec![Text::new()];
    let mut whole = true;
    for node in nodes {
        let exact = walk(node, best);
        let joined = exact.as_ref().and_then(|exact| join(&run, exact));
        if let Some(joined) = joined {
            run = joined;
            continue;
        }
        offer(best, &run);
        whole = false;
        run = exact.unwrap_or_else(|| vec![Text::new()]);
    }
    offer(best, &run);
    whole.then_some(run)
}

fn join(run: &[Text], next: &[Text]) -> Option<Vec<Text>> {
    if run.len() * next.len() > MAX_TEXTS {
        return None;
    }
    let mut joined = Vec::with_capacity(run.len() * next.len());
    for first in run {
        for second in next {
            let text = [first.as_slice(), second.as_slice()].concat();
            if text.len() > MAX_LENGTH {
                return None;
            }
            joined.push(text);
        }
    }
    Some(joined)
}
