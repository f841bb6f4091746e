//! The command line as a person meets it: help, settings, errors that name the mend.

use crate::support;

use serde_json::Value;
use support::{muster, run};

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_shows_examples() {
    for arguments in [&["--help"][..], &["index", "--help"], &["people", "--help"], &["evaluate", "--help"]] {
        let output = run(muster().args(arguments), 0);
        assert!(String::from_utf8_lossy(&output.stdout).contains("Examples:"), "{arguments:?}");
    }
}

#[test]
fn a_log_that_no_terminal_shows_has_no_colours() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(muster().args(["-vv", "index"]).arg(folder.path()), 0);
    let said = stderr(&output);
    assert!(said.contains("supervisor.drain") && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn config_tells_each_value_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("muster.toml"), "[pipeline]\nbatch = 3\n").unwrap();
    let output =
        run(muster().args(["config", "--json"]).current_dir(folder.path()).env("MUSTER_PIPELINE__CREDITS", "12"), 0);
    let values: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(values["pipeline.batch"]["value"], 3);
    assert_eq!(values["pipeline.batch"]["origin"], "muster.toml");
    assert_eq!(values["pipeline.credits"]["origin"], "environment MUSTER_PIPELINE__CREDITS");
    assert_eq!(values["pipeline.decoders"]["origin"], "default");
}

#[test]
fn a_wrong_setting_names_itself_and_exits_78() {
    let output = run(muster().arg("config").env("MUSTER_PIPELINE__BACH", "12"), 78);
    assert!(stderr(&output).contains("pipeline.bach"), "{}", stderr(&output));
}

#[test]
fn what_is_not_there_exits_66_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let table: [(&[&str], &str); 4] = [
        (&["index", "nowhere"], "nowhere"),
        (&["people"], "muster index"),
        (&["export", "--json"], "muster index"),
        (&["index", ".", "--model", "no-such-pack"], "no-such-pack"),
    ];
    for (arguments, told) in table {
        let output = run(muster().args(arguments).current_dir(folder.path()), 66);
        assert!(stderr(&output).contains(told), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn missing_models_say_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(muster().args(["index", "."]).current_dir(folder.path()).env("MUSTER_HOME", folder.path()), 66);
    assert!(stderr(&output).contains("muster models pull open"), "{}", stderr(&output));
}

#[test]
fn packs_are_listed_with_what_was_measured_of_them() {
    let output = run(muster().args(["models", "list", "--json"]), 0);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let packs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| packs.iter().find(|pack| pack["name"] == name).unwrap();
    let (open, edgeface) = (of("open"), of("edgeface"));
    assert_eq!((&open["state"], &open["non_commercial"]), (&"installed".into(), &false.into()));
    assert_eq!(open["speed"]["relative"], 1.0);
    let young = |pack: &Value| pack["accuracy"]["young"]["true_accept_rate"].as_f64();
    assert!(young(edgeface) > young(open), "{packs:?}");
    assert_eq!(edgeface["accuracy"]["grown"], Value::Null);
}

#[test]
fn only_the_first_run_says_which_pack_it_takes_and_which_one_knows_children() {
    let folder = tempfile::tempdir().unwrap();
    let says = |library: &str, arguments: &[&str]| {
        let library = folder.path().join(library);
        let output = run(muster().arg("index").arg(folder.path()).arg("--library").arg(library).args(arguments), 0);
        assert!(!String::from_utf8_lossy(&output.stdout).contains("edgeface"));
        stderr(&output).contains("muster models pull edgeface --accept-licence")
    };
    assert!(says("one", &[]), "a new library");
    assert!(!says("one", &[]), "the library is there");
    assert!(!says("two", &["--model", "open"]), "a person chose");
    assert!(!says("three", &["--json"]), "a program asked");
}

#[test]
fn check_reports_every_dependency() {
    let output = run(muster().args(["check", "--json"]), 0);
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    for what in ["settings", "runtime", "models", "lanes"] {
        let finding = findings.as_array().unwrap().iter().find(|finding| finding["what"] == what);
        assert_eq!(finding.map(|finding| &finding["state"]), Some(&Value::from("ok")), "{what} in {findings:#}");
    }
}

#[test]
fn check_says_where_the_models_run_and_why_no_card_is_used() {
    // No card is shown to these, whatever the machine has.
    for (name, value, state, part) in [
        ("MUSTER_DEVICES", "auto", "ok", "the models run on the CPU: "),
        ("MUSTER_DEVICES", "cpu", "ok", "none is asked for"),
        ("MUSTER_MODELS__PROVIDER", "cpu", "ok", "none is asked for"),
        // One is asked for that cannot be had: it is said, and the work is done.
        ("MUSTER_DEVICES", "0", "missing", "the models run on the CPU: "),
        ("MUSTER_MODELS__PROVIDER", "tensorrt", "missing", "the models run on the CPU: "),
    ] {
        let output = run(muster().args(["check", "--json"]).env("CUDA_VISIBLE_DEVICES", "").env(name, value), 0);
        let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let of = |what: &str| findings.iter().find(|finding| finding["what"] == what).unwrap().clone();
        let cards = of("cards");
        assert!(cards["state"] == state && cards["detail"].as_str().unwrap().contains(part), "{name}={value}: {cards}");
        assert!(of("lanes")["detail"].as_str().unwrap().contains("on cpu, batches of 5 images"), "{findings:?}");
    }
}

#[test]
fn completions_and_the_manual_name_every_subcommand() {
    for arguments in [&["completions", "bash"][..], &["man"]] {
        let output = run(muster().args(arguments), 0);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for subcommand in
            ["index", "people", "export", "report", "library", "evaluate", "forget", "models", "check", "config"]
        {
            assert!(text.contains(subcommand), "{subcommand} in {arguments:?}");
        }
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    for arguments in ["config", "config --schema", "check", "check --json", "completions bash", "man", "models list"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = muster().args(arguments.split(' ')).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{arguments}");
    }
}
