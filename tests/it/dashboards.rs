//! The dashboard and the alarms of `packaging/` speak of metrics that there are: each query is taken apart and compared
//! with a page of a pushkeeper that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pushkeeper::metrics::{ALL, Kind};
use serde_json::Value;

use crate::bridged::Bridge;
use crate::exposition::Page;
use crate::metrics::{page, start};
use crate::promql::{Query, read};
use crate::support::host::BRIDGED;
use crate::support::vendor::{Answer, Behaviour};
use crate::whole_rig::{publish, registered, registration};

/// What Prometheus adds to whatever it scrapes.
const OF_THE_SCRAPE: [&str; 2] = ["job", "instance"];

/// What there is to ask for: the labels under each name.
struct Known {
    page: Page,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    /// From a page, and what the rules record.
    fn new(page: Page) -> Self {
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let of =
            |names: &[&str]| names.iter().chain(&OF_THE_SCRAPE).map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        labels.insert("up".into(), of(&[]));
        for family in ALL {
            assert!(page.family(family.name).is_some(), "{} is not on the page", family.name);
            let suffixes: &[&str] = if family.kind == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
            for suffix in suffixes {
                let with_le = [family.labels, &["le"]].concat();
                let names = if *suffix == "_bucket" { &with_le } else { family.labels };
                labels.insert(format!("{}{suffix}", family.name), of(names));
            }
        }
        // The page and the list of all metrics agree.
        for sample in page.families.iter().flat_map(|family| &family.samples) {
            let mut names: BTreeSet<String> = sample.labels.iter().map(|(name, _)| name.clone()).collect();
            names.extend(OF_THE_SCRAPE.map(str::to_owned));
            assert_eq!(labels.get(&sample.name), Some(&names), "{sample:?}");
        }
        Self { page, labels }
    }

    /// What is wrong with a query.
    fn complaints(&self, query: &Query) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut all: BTreeSet<&String> = BTreeSet::new();
        for selector in &query.selectors {
            let name = &selector.name;
            let Some(labels) = self.labels.get(name) else {
                complaints.push(format!("there is no {name}"));
                continue;
            };
            all.extend(labels);
            for (label, operator, value) in &selector.matchers {
                if !labels.contains(label) {
                    complaints.push(format!("{name} has no {label}"));
                }
                let is_fixed = !OF_THE_SCRAPE.contains(&label.as_str()) && !value.contains('$');
                if is_fixed && !self.values(name, label).iter().any(|known| fits(known, operator, value)) {
                    complaints.push(format!("{name} has no {label}{operator}{value:?}"));
                }
                // Each alternative is one that there is.
                for word in value.split('|').filter(|_| is_fixed && operator == "=~") {
                    if !self.values(name, label).iter().any(|known| fits(known, operator, word)) {
                        complaints.push(format!("{name} has no {label}={word:?}"));
                    }
                }
            }
        }
        let unknown = query.grouped.iter().filter(|label| !all.contains(label));
        complaints.extend(unknown.map(|label| format!("nothing has the label {label}")));
        if query.selectors.is_empty() {
            complaints.push("it asks for nothing".into());
        }
        complaints
    }

    fn values(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let samples = self.page.families.iter().flat_map(|family| &family.samples).filter(|sample| sample.name == name);
        samples.filter_map(|sample| sample.label(label)).collect()
    }
}

/// Whether a value is one that a matcher means; of patterns, only `|` and `.*` at the end are understood.
fn fits(value: &str, operator: &str, wanted: &str) -> bool {
    match operator {
        "=" => value == wanted,
        "=~" => wanted.split('|').any(|one| match one.strip_suffix(".*") {
            Some(start) => value.starts_with(start),
            None => value == one,
        }),
        _ => panic!("{operator} is not understood here"),
    }
}

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A page of a pushkeeper that has something to show everywhere.
async fn known() -> Known {
    let (mut whole, session) = start().await;
    let mut bridge = Bridge::link(session, BRIDGED).await;
    whole.vendor.always("aabbcc01", Behaviour::Answer(Answer::apns(403, "InvalidProviderToken")));
    for (service, name, token) in [("apns", "romeo", "aabbcc01"), ("fcm", "mercutio", "fcm-token")] {
        let device = registered(&bridge.ask(&format!("r-{name}"), &registration(service, name, token)).await);
        bridge.ask("p1", &publish("p1", &device, "", "hi")).await;
    }
    let measured = async {
        loop {
            let page = page(&whole).await;
            if page.family("pushkeeper_store_bytes").is_some() {
                return page;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let page = tokio::time::timeout(std::time::Duration::from_secs(30), measured).await.expect("it measures itself");
    whole.stop(bridge.into_session()).await.unwrap();
    Known::new(page)
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alarms_ask_only_for_what_there_is() {
    let mut known = known().await;
    let mut complaints = Vec::new();
    let rules = serde_yaml_ng::from_str::<Value>(&file("packaging/prometheus/pushkeeper.rules.yml")).unwrap();
    let mut alarms = BTreeSet::new();
    for rule in rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).expect("a name");
        let query = read(rule["expr"].as_str().expect("an expression"));
        complaints.extend(known.complaints(&query).into_iter().map(|text| format!("{name}: {text}")));
        if rule["alert"].is_null() {
            let grouped = query.grouped.into_iter().filter(|label| label != "le").collect();
            assert!(known.labels.insert(name.to_owned(), grouped).is_none(), "{name} is recorded twice");
            continue;
        }
        assert!(alarms.insert(name.to_owned()), "{name} comes twice");
        alarm(name, rule, &query, &known, &mut complaints);
    }
    assert!(alarms.len() >= 12, "{alarms:?}");

    let dashboard: Value = serde_json::from_str(&file("packaging/grafana/pushkeeper.json")).unwrap();
    complaints.extend(dashboard_complaints(&dashboard, &known));
    assert!(complaints.is_empty(), "{complaints:#?}");

    // The comparison does find what is wrong.
    for (query, expected) in [
        ("pushkeeper_no_such", "there is no pushkeeper_no_such"),
        ("pushkeeper_vendor_seconds", "there is no pushkeeper_vendor_seconds"),
        ("rate(pushkeeper_pushes_total{result=\"x\"}[5m])", "pushkeeper_pushes_total has no result"),
        ("pushkeeper_app_circuit_open{fault=\"moon\"}", "pushkeeper_app_circuit_open has no fault=\"moon\""),
        ("sum by (host) (pushkeeper_pushes_total)", "nothing has the label host"),
        (
            "pushkeeper_decisions_total{decision=~\"pushed|pusht\"}",
            "pushkeeper_decisions_total has no decision=\"pusht\"",
        ),
    ] {
        assert_eq!(known.complaints(&read(query)).first().map(String::as_str), Some(expected));
    }
}

/// An alarm has all that one needs who is woken by it.
fn alarm(name: &str, rule: &Value, query: &Query, known: &Known, complaints: &mut Vec<String>) {
    let hold = rule["for"].as_str().unwrap_or_default();
    let number = hold.trim_end_matches(['m', 'h']);
    assert!(
        number.parse::<u32>().is_ok_and(|number| number > 0) && number.len() + 1 == hold.len(),
        "{name}: for {hold:?}"
    );
    let severity = rule["labels"]["severity"].as_str();
    assert!(matches!(severity, Some("page" | "ticket")), "{name}: {severity:?}");
    for annotation in ["summary", "description"] {
        let text = rule["annotations"][annotation].as_str().unwrap_or_default();
        assert!(text.len() > 20, "{name}: {annotation}");
        // What it names of the labels, the expression has.
        for label in text.split("$labels.").skip(1) {
            let label = &label[..label.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(label.len())];
            let left = query.selectors.first().and_then(|selector| known.labels.get(&selector.name)).expect("a metric");
            if !left.contains(label) {
                complaints.push(format!("{name}: no label {label} for its {annotation}"));
            }
        }
    }
    assert!(name.starts_with("Pushkeeper"), "{name}");
}

fn dashboard_complaints(dashboard: &Value, known: &Known) -> Vec<String> {
    let mut complaints = Vec::new();
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: BTreeSet<&str> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(variables[0]["type"], "datasource");
    for variable in &variables[1..] {
        let definition = variable["definition"].as_str().expect("a query");
        let inside = definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).expect("values");
        let (metric, label) = inside.split_once(", ").expect("a metric and a label");
        if !known.labels.get(metric).is_some_and(|labels| labels.contains(label)) {
            complaints.push(format!("{definition}: there is no such thing"));
        }
    }
    let mut asked = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        let place = &panel["gridPos"];
        assert!(places.insert((place["x"].as_u64(), place["y"].as_u64())), "{title} lies on another panel");
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        for target in panel["targets"].as_array().expect("queries") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let query = read(target["expr"].as_str().expect("a query"));
            let mut found = known.complaints(&query);
            for variable in &query.variables {
                if !names.contains(variable.as_str()) && variable != "__rate_interval" {
                    found.push(format!("there is no ${variable}"));
                }
            }
            asked.extend(query.selectors.iter().map(|selector| selector.name.clone()));
            let left: BTreeSet<&String> = if query.grouped.is_empty() {
                query.selectors.iter().filter_map(|selector| known.labels.get(&selector.name)).flatten().collect()
            } else {
                query.grouped.iter().collect()
            };
            let legend = target["legendFormat"].as_str().expect("a legend");
            for label in legend.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.to_owned())) {
                if !left.contains(&label) {
                    found.push(format!("no label {label} for its legend"));
                }
            }
            complaints.extend(found.into_iter().map(|text| format!("{title}: {text}")));
        }
    }
    // Whatever there is can be seen somewhere.
    let shown = |name: &str| asked.iter().any(|asked| asked.trim_end_matches("_bucket") == name);
    let hidden = ["pushkeeper_build_info", "pushkeeper_driver_responding", "pushkeeper_app_works"];
    for family in ALL.iter().filter(|family| !shown(family.name) && !hidden.contains(&family.name)) {
        complaints.push(format!("{} is on no panel", family.name));
    }
    complaints
}
