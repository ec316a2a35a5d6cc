//! The picture: how it stands, what is dropped and why, who sends it, what was decided.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};
use serde_json::Value;

use crate::command::status::privacy;

/// The state now and before, for rates.
pub(super) struct Screen {
    now: Value,
    before: Option<(Value, Instant)>,
    taken: Instant,
    /// Why there is nothing newer.
    lost: Option<String>,
}

impl Screen {
    pub(super) fn new(now: Value) -> Self {
        Self { now, before: None, taken: Instant::now(), lost: None }
    }

    /// What the daemon said next.
    pub(super) fn follow(&mut self, next: Value) {
        let before = std::mem::replace(&mut self.now, next);
        self.before = Some((before, self.taken));
        self.taken = Instant::now();
        self.lost = None;
    }

    /// The daemon does not answer.
    pub(super) fn lost(&mut self, why: String) {
        self.lost = Some(why);
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let [head, middle, foot] =
            Layout::vertical([Constraint::Length(7), Constraint::Min(8), Constraint::Length(1)])
                .areas(frame.area());
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(42), Constraint::Percentage(58)]).areas(middle);
        let [reasons, detectors] =
            Layout::vertical([Constraint::Percentage(55), Constraint::Percentage(45)]).areas(left);
        let [sources, decisions] =
            Layout::vertical([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(right);
        frame.render_widget(self.head(), head);
        self.reasons(frame, reasons);
        self.detectors(frame, detectors);
        self.sources(frame, sources);
        self.decisions(frame, decisions);
        frame.render_widget(Paragraph::new("q quits").style(Style::new().add_modifier(Modifier::DIM)), foot);
    }

    fn head(&self) -> Paragraph<'_> {
        let enforced = match (self.flag("/enforced"), self.flag("/observe")) {
            _ if self.lost.is_some() => Span::styled("unknown", Style::new().fg(Color::Red)),
            (true, _) => Span::styled("yes", Style::new().fg(Color::Green)),
            (false, true) => Span::styled("observing only", Style::new().fg(Color::Yellow)),
            (false, false) => Span::styled("NO", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)),
        };
        let interfaces: Vec<String> = self
            .list("/interfaces")
            .iter()
            .map(|one| format!("{} ({})", word(one, "name"), word(one, "mode")))
            .collect();
        let mut lines = vec![
            Line::from(vec!["enforced  ".into(), enforced, format!("   {}", interfaces.join(", ")).into()]),
            Line::from(format!(
                "packets   {} passed ({}/s), {} dropped ({}/s)",
                self.number("/packets/accept"),
                self.rate("/packets/accept"),
                self.number("/packets/drop"),
                self.rate("/packets/drop"),
            )),
            Line::from(format!(
                "bans      {} in force, {} decided, {} limited, {} alerts",
                self.number("/bans/active"),
                self.number("/bans/decided"),
                self.number("/bans/limited"),
                self.number("/bans/alerts"),
            )),
            Line::from(format!(
                "events    {} delivered, {} lost",
                self.number("/events/delivered"),
                self.number("/events/lost")
            )),
        ];
        if let Some(summary) = self.now.get("privacy").and_then(privacy::summary) {
            lines.push(Line::from(format!("in clear  {summary}")));
        }
        let faults = self.list("/faults").iter().filter_map(Value::as_str);
        let worst = self.lost.as_deref().or_else(|| faults.into_iter().next());
        if let Some(fault) = worst {
            lines.push(Line::styled(format!("! {fault}"), Style::new().fg(Color::Red)));
        }
        Paragraph::new(lines)
    }

    fn reasons(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut rows: Vec<(String, u64, u64)> = self
            .now
            .pointer("/packets/by_reason")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(reason, count)| {
                let place = format!("/packets/by_reason/{reason}");
                (reason.clone(), count.as_u64().unwrap_or(0), self.rate(&place))
            })
            .filter(|(_, count, _)| *count > 0)
            .collect();
        rows.sort_by_key(|(_, count, rate)| (std::cmp::Reverse(*rate), std::cmp::Reverse(*count)));
        let rows = rows
            .into_iter()
            .map(|(reason, count, rate)| Row::new([reason, count.to_string(), format!("{rate}/s")]));
        let widths = [Constraint::Min(18), Constraint::Length(12), Constraint::Length(10)];
        frame.render_widget(Table::new(rows, widths).block(framed("verdicts")), area);
    }

    fn detectors(&self, frame: &mut Frame<'_>, area: Rect) {
        let all = self.now.pointer("/detectors").and_then(Value::as_object);
        let mut rows: Vec<(&str, u64)> = all
            .into_iter()
            .flatten()
            .map(|(name, count)| (name.as_str(), count.as_u64().unwrap_or(0)))
            .collect();
        rows.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
        let rows = rows.into_iter().map(|(name, count)| Row::new([name.to_owned(), count.to_string()]));
        let widths = [Constraint::Min(18), Constraint::Length(12)];
        frame.render_widget(Table::new(rows, widths).block(framed("evidence by detector")), area);
    }

    fn sources(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.list("/talkers").iter().map(|one| {
            let packets = one.get("packets").and_then(Value::as_u64).unwrap_or(0);
            Row::new([word(one, "source").to_owned(), packets.to_string(), word(one, "reason").to_owned()])
        });
        let widths = [Constraint::Min(18), Constraint::Length(10), Constraint::Length(20)];
        frame.render_widget(Table::new(rows, widths).block(framed("dropped, by source")), area);
    }

    fn decisions(&self, frame: &mut Frame<'_>, area: Rect) {
        let room = usize::from(area.height.saturating_sub(2));
        let lines: Vec<Line<'_>> = self
            .list("/decisions")
            .iter()
            .rev()
            .take(room)
            .map(|one| {
                // Hours, minutes and seconds of `2026-01-02T03:04:05.678901Z`.
                let time = word(one, "time").get(11..19).unwrap_or_default();
                let text = word(one, "text");
                let style = match text.split(' ').next() {
                    Some("ban") => Style::new().fg(Color::Red),
                    Some("alert" | "repaired:") => Style::new().fg(Color::Yellow),
                    _ => Style::new(),
                };
                Line::styled(format!("{time} {text}"), style)
            })
            .collect();
        frame.render_widget(Paragraph::new(lines).block(framed("decisions, newest first")), area);
    }

    fn list(&self, place: &str) -> &[Value] {
        self.now.pointer(place).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn flag(&self, place: &str) -> bool {
        self.now.pointer(place) == Some(&Value::Bool(true))
    }

    fn number(&self, place: &str) -> u64 {
        number(&self.now, place)
    }

    /// How many more in a second.
    fn rate(&self, place: &str) -> u64 {
        let Some((before, then)) = &self.before else { return 0 };
        let more = self.number(place).saturating_sub(number(before, place));
        let millis = u64::try_from(self.taken.duration_since(*then).as_millis()).unwrap_or(u64::MAX).max(1);
        more.saturating_mul(1000) / millis
    }
}

fn number(value: &Value, place: &str) -> u64 {
    value.pointer(place).and_then(Value::as_u64).unwrap_or(0)
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn framed(title: &str) -> Block<'_> {
    Block::new().borders(Borders::TOP).title(title)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn drawn(screen: &Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn what_the_daemon_says_is_on_the_screen() {
        let status = |dropped: u64| {
            json!({
                "enforced": true, "observe": false, "faults": [],
                "interfaces": [{ "name": "eth0", "mode": "driver" }],
                "packets": { "accept": 9, "drop": dropped, "by_reason": { "banned": dropped, "clean": 9 } },
                "bans": { "active": 3, "decided": 2, "limited": 1, "alerts": 0 },
                "events": { "delivered": 5, "lost": 0 },
                "talkers": [{ "source": "203.0.113.9", "packets": 12, "reason": "banned" }],
                "detectors": { "scanning": 4 },
                "decisions": [{ "time": "2026-11-28T12:00:01.000000Z", "text": "ban 203.0.113.9 for scanning" }],
            })
        };
        let mut screen = Screen::new(status(10));
        screen.follow(status(1_000_010));
        let text = drawn(&screen);
        for part in [
            "eth0 (driver)",
            "203.0.113.9",
            "12:00:01 ban 203.0.113.9 for scanning",
            "scanning",
            "3 in force",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("(0/s), 1000010 dropped (0/s)"), "{text}");
        screen.lost("no daemon answers".to_owned());
        assert!(drawn(&screen).contains("! no daemon answers"));
    }

    #[test]
    fn nonsense_is_drawn_as_nothing() {
        assert!(drawn(&Screen::new(json!([1, 2]))).contains("verdicts"));
    }
}
