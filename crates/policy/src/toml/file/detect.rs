//! `[detect]` and its tables, one for each detector. Keys, ranges and defaults are the engine's registry.

use engine::{Action, DECISION, Kind, REGISTRY, Setting, Settings};
use toml_edit::{Item, TableLike, Value};

use crate::diagnostic::nearest;
use crate::toml::reader::{Reader, key_span, listed, span_of};
use crate::toml::values::{BadValue, bad};

pub(super) fn read(item: &Item, reader: &mut Reader<'_>) -> Settings {
    let mut settings = Settings::default();
    let Some(table) = reader.table(item, "`detect`", "[detect]") else { return settings };
    let mut known = vec!["enforce", "domains"];
    known.extend(DECISION.iter().map(|setting| setting.key));
    known.extend(Kind::ALL.iter().map(|kind| kind.as_str()));
    reader.only(table, "`detect`", &known);
    if let Some(enforce) = reader.boolean(table, "enforce") {
        settings.enforce = enforce.value;
    }
    if let Some(domains) = reader.list(table, "domains", "domains = [\"pbx.example.com\"]", domain) {
        settings.domains = domains.items.into_iter().map(|domain| domain.value).collect();
    }
    numbers(table, None, DECISION, &mut settings, reader);
    for detector in REGISTRY {
        let name = detector.kind.as_str();
        let Some(item) = table.get(name) else { continue };
        let Some(table) = reader.table(item, &format!("`{name}`"), &format!("[detect.{name}]")) else {
            continue;
        };
        let mut known = vec!["action"];
        known.extend(detector.settings.iter().map(|setting| setting.key));
        reader.only(table, &format!("`{name}`"), &known);
        action(table, detector.kind, &mut settings, reader);
        numbers(table, Some(detector.kind), detector.settings, &mut settings, reader);
    }
    settings
}

fn numbers(
    table: &dyn TableLike,
    detector: Option<Kind>,
    known: &[Setting],
    settings: &mut Settings,
    reader: &mut Reader<'_>,
) {
    for Setting { key, min, max, unit, default, .. } in known {
        let Some(item) = table.get(key) else { continue };
        let Some(number) = item.as_integer() else {
            reader.wrong_type(
                item,
                &span_of(item),
                &format!("`{key}`"),
                "a whole number",
                &format!("{key} = {default}"),
            );
            continue;
        };
        let set = u32::try_from(number).ok().and_then(|number| settings.set(detector, key, number));
        if set.is_none() {
            let help = format!("it counts {unit}, from {min} to {max}; the default is {default}");
            reader.error(&span_of(item), format!("`{key}` cannot be {number}"), help);
        }
    }
}

fn action(table: &dyn TableLike, kind: Kind, settings: &mut Settings, reader: &mut Reader<'_>) {
    const ACTIONS: [(&str, Action); 3] =
        [("ban", Action::Ban), ("alert", Action::Alert), ("off", Action::Off)];
    let Some(written) = reader.text(table, "action", "action = \"alert\"") else { return };
    match ACTIONS.iter().find(|(name, _)| *name == written.value) {
        Some((_, action)) => settings.set_action(kind, *action),
        None => {
            let names = ACTIONS.map(|(name, _)| name);
            let near = nearest(&written.value, names);
            let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            let help = format!("{near}it is one of {}", listed(&names));
            reader.error(&written.span, format!("`action` cannot be `{}`", written.value), help);
        }
    }
    if kind == Kind::AccountChange && written.value == "ban" {
        let help = "whoever has the password looks like its owner; `\"alert\"` says the same";
        reader.warn(&key_span(table, "action"), "`account-change` never bans", help);
    }
}

fn domain(value: &Value) -> Result<String, BadValue> {
    const SHAPE: &str = "write names as texts: `\"pbx.example.com\"`";
    let Some(text) = value.as_str() else { return bad("a domain is a text", SHAPE) };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if text.is_empty() || !text.chars().all(is_name) || text.parse::<std::net::IpAddr>().is_ok() {
        return bad(format!("`{text}` is no domain"), SHAPE);
    }
    Ok(text.to_ascii_lowercase())
}
