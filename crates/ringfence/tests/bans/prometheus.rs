//! Metrics of a real daemon, read by a real Prometheus with the alert rules that are shipped.

use std::path::Path;
use std::time::Duration;

use lab::probe;
use lab::{Node, Process};

use crate::drift::Maps;
use crate::scene::{ATTACKER, PBX, POLICY, Scene, json, says, until};

const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:9560\"\n";

/// A scene whose policy serves metrics.
fn scene(test: &str, tools: &[&str], metrics: &str) -> Option<Scene> {
    let scene = Scene::new(test, tools)?;
    std::fs::write(&scene.policy, format!("{POLICY}{metrics}")).unwrap();
    Some(scene)
}

/// Prometheus on the guarded host.
struct Prometheus<'a> {
    scene: &'a Scene,
    _process: Process,
}

impl<'a> Prometheus<'a> {
    fn start(scene: &'a Scene) -> Self {
        let rules =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/prometheus/ringfence.rules.yml");
        let folder = scene.lab.dir().join("prometheus");
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{:?}]\nscrape_configs:\n  \
             - job_name: ringfence\n    static_configs: [{{ targets: [\"127.0.0.1:9560\"] }}]\n",
            rules.canonicalize().unwrap()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = scene.lab.command(Node::Pbx, "prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg("--web.listen-address=127.0.0.1:9090");
        Self { scene, _process: scene.lab.spawn("prometheus", command).unwrap() }
    }

    /// What a query gives; empty before it listens.
    fn query(&self, query: &str) -> String {
        let mut command = self.scene.lab.command(Node::Pbx, "promtool");
        command.args(["query", "instant", "http://127.0.0.1:9090", query]);
        lab::run(command, Duration::from_secs(10)).unwrap().stdout
    }

    fn waits_for(&self, query: &str) {
        until(query, Duration::from_secs(60), || !self.query(query).trim().is_empty());
    }
}

#[test]
fn prometheus_reads_it_and_the_alert_fires_when_the_kernel_is_changed_behind_its_back() {
    let Some(scene) = scene("prometheus", &["prometheus", "promtool"], METRICS) else { return };
    let mut guard = scene.guard_in(&[("RINGFENCE_COMPARE_MS", "1500")]);
    let prometheus = Prometheus::start(&scene);
    prometheus.waits_for("up{job=\"ringfence\"} == 1");
    prometheus.waits_for("ringfence_enforced == 1");
    says(&guard, &["ban", &ATTACKER.to_string()], 0);
    prometheus.waits_for("ringfence_bans{by=\"operator\"} == 1");
    assert_eq!(prometheus.query("ALERTS").trim(), "", "nothing is wrong yet");

    Maps(&scene).unban(ATTACKER);
    prometheus.waits_for("ALERTS{alertname=\"RingfenceDriftRepaired\", alertstate=\"firing\"}");
    prometheus.waits_for("ringfence_drift_repaired_total == 1");
    assert_eq!(prometheus.query("ALERTS{alertname!=\"RingfenceDriftRepaired\"}").trim(), "");

    // The table is taken away: what is told was read back.
    scene.shell("nft delete table inet ringfence");
    prometheus.waits_for("ringfence_enforced == 0 and ringfence_faults == 1");
    prometheus.waits_for("ALERTS{alertname=\"RingfenceNotEnforced\", alertstate=\"pending\"}");

    guard.process().kill();
    prometheus.waits_for("ALERTS{alertname=\"RingfenceDown\", alertstate=\"pending\"}");
}

#[test]
fn the_server_follows_the_policy_and_a_port_that_is_taken_changes_nothing() {
    let Some(scene) = scene("scrapes", &["curl"], METRICS) else { return };
    let guard = scene.guard();
    let scrape = |address: &str| scene.shell(&format!("curl -sS http://{address}/metrics")).text();
    let text = scrape("127.0.0.1:9560");
    for line in ["ringfence_enforced 1", "ringfence_observing 0", "ringfence_table_entries{table=\"bans\"} 0"]
    {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    let _other = probe::Listener::tcp(&scene.lab, Node::Pbx, 9561).unwrap();
    let taken = "[metrics]\nlisten = \"0.0.0.0:9561\"\nallow = [\"127.0.0.0/8\"]\n";
    std::fs::write(&scene.policy, format!("{POLICY}{taken}")).unwrap();
    let output = guard.command(&["reload"]).unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", output.text());
    assert!(output.text().contains("cannot serve metrics at 0.0.0.0:9561"), "{}", output.text());
    assert!(output.text().contains("the policy in force stays"), "{}", output.text());
    assert!(scrape("127.0.0.1:9560").contains("ringfence_enforced 1"));

    // Elsewhere, for those who are named only: not for the attacker.
    let open = taken.replace("9561", "9560");
    let policy = POLICY.replace("ssh =", "metrics = { tcp = [9560] }\nssh =");
    std::fs::write(&scene.policy, format!("{policy}{open}")).unwrap();
    says(&guard, &["reload"], 0);
    assert!(scrape("127.0.0.1:9560").contains("ringfence_enforced 1"));
    let mut command = scene.lab.command(Node::Attacker, "curl");
    command.args(["-sS", "--max-time", "5", &format!("http://{PBX}:9560/metrics")]);
    let output = lab::run(command, Duration::from_secs(10)).unwrap();
    assert!(!output.status.success() && !output.text().contains("ringfence_"), "{}", output.text());
    std::fs::write(&scene.policy, POLICY).unwrap();
    says(&guard, &["reload"], 0);
    assert!(!scene.shell("curl -sS http://127.0.0.1:9560/metrics").status.success());
    assert_eq!(json(&guard, &["status"])[0]["enforced"], true);
}

#[test]
fn a_port_that_is_taken_leaves_the_host_guarded() {
    let Some(scene) = scene("taken", &[], METRICS) else { return };
    let _other = probe::Listener::tcp(&scene.lab, Node::Pbx, 9560).unwrap();
    let mut guard = scene.guard();
    let said = guard.process().stderr();
    assert!(said.contains("warning: cannot serve metrics at 127.0.0.1:9560"), "{said}");
    assert!(said.contains("another program has this port"), "{said}");
    assert_eq!(json(&guard, &["status"])[0]["enforced"], true);
}
