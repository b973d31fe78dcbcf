//! What rows about PostgreSQL are judged by, where no PostgreSQL of the tests can be made to be so.

use super::*;
use crate::cli::doctor::Status;

#[track_caller]
fn check(verdict: &Verdict, status: Status, words: &str) {
    assert_eq!(verdict.status, status, "{verdict:?}");
    assert!(verdict.message.contains(words), "{words:?} is missing in {verdict:?}");
    assert_eq!(verdict.hint.is_some(), status != Status::Pass, "{verdict:?}");
}

#[test]
fn what_is_said_without_tls_passes_no_network() {
    check(&judge_tls(Some("TLSv1.3"), true, false), Status::Pass, "TLSv1.3");
    check(&judge_tls(Some("TLSv1.3"), false, false), Status::Warn, "not checked");
    check(&judge_tls(None, false, true), Status::Pass, "on this machine");
    check(&judge_tls(None, false, false), Status::Fail, "in the clear");
}

#[test]
fn a_login_has_what_it_needs_and_no_more() {
    let login = |attributes: &[&str], owned, owns_control, owns_database| Login {
        name: "ann".to_owned(),
        attributes: attributes.iter().map(|a| (*a).to_owned()).collect(),
        owned,
        owns_control,
        owns_database,
    };
    check(&judge_runtime(&login(&[], 0, false, false)), Status::Pass, "owns nothing");
    for attribute in RUNTIME_NEVER {
        check(&judge_runtime(&login(&[attribute], 0, false, false)), Status::Fail, attribute);
    }
    check(&judge_runtime(&login(&[], 2, false, false)), Status::Fail, "owns 2 objects");

    check(&judge_owner(&login(&["CREATEROLE", "INHERIT"], 9, true, true)), Status::Pass, "no superuser");
    check(&judge_owner(&login(&["CREATEROLE", "SUPERUSER"], 9, true, true)), Status::Fail, "SUPERUSER");
    check(&judge_owner(&login(&["INHERIT"], 9, true, true)), Status::Fail, "CREATEROLE");
    check(&judge_owner(&login(&["CREATEROLE"], 9, false, true)), Status::Fail, "control");
    check(&judge_owner(&login(&["CREATEROLE"], 9, true, false)), Status::Warn, "vacuum");
}

#[test]
fn a_control_plane_that_is_ahead_serves() {
    let had = |extra: &[&str], without: &[&str]| -> Vec<String> {
        let mut versions: Vec<String> = migrations(Plane::Control).into_iter().map(|m| m.version).collect();
        versions.retain(|version| !without.contains(&version.as_str()));
        versions.extend(extra.iter().map(|version| (*version).to_owned()));
        versions
    };
    check(&judge_control(&had(&[], &[])), Status::Pass, "it is at");
    check(&judge_control(&had(&["29990101000001"], &[])), Status::Pass, "29990101000001");
    check(&judge_control(&had(&[], &[CONTROL_VERSION_MIN])), Status::Fail, CONTROL_VERSION_MIN);
    check(&judge_control(&had(&[], &["20261124000003"])), Status::Fail, "20261124000003");
    check(&judge_control(&[]), Status::Fail, "no version");
}

#[test]
fn tenants_that_are_not_served_fail_and_those_that_are_behind_warn() {
    let fleet = |too_old, behind, run: Option<&str>| Fleet { tenants: 3, too_old, behind, run: run.map(str::to_owned) };
    check(&judge_fleet(&fleet(0, 0, None)), Status::Pass, "all 3 tenants");
    check(&judge_fleet(&fleet(1, 2, None)), Status::Fail, "1 of 3 tenants");
    check(&judge_fleet(&fleet(0, 2, None)), Status::Warn, "2 of 3 tenants");
    check(&judge_fleet(&fleet(0, 2, Some("paused"))), Status::Warn, "a run is paused");
}

#[test]
fn the_archive_of_the_log_is_young_and_does_not_fail() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let ago = |minutes: i64| Some(now - TimeDelta::minutes(minutes));
    let archiver = |archived_at, failed_at| Archiver { archived_at, failed_at };
    check(&judge_backups("off", &archiver(None, None), now), Status::Fail, "archive_mode is off");
    check(&judge_backups("on", &archiver(None, None), now), Status::Fail, "nothing was archived");
    check(&judge_backups("on", &archiver(ago(3), None), now), Status::Pass, "3 minutes ago");
    check(&judge_backups("on", &archiver(ago(3), ago(9)), now), Status::Pass, "3 minutes ago");
    check(&judge_backups("on", &archiver(ago(9), ago(3)), now), Status::Fail, "archiving fails");
    check(&judge_backups("always", &archiver(ago(90), None), now), Status::Warn, "90 minutes ago");
}

#[test]
fn all_processes_together_find_connections() {
    let config = |vars: &'static [(&'static str, &'static str)]| {
        let find =
            move |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Config::from_vars(&find).unwrap()
    };
    // Two servers and a worker with 10 connections and 7 beside, and the worker's bell.
    let plain = config(&[("DATABASE_URL", "postgres://a@h/d"), ("REPLICAS", "2")]);
    check(&judge_connections(&plain, 52), Status::Warn, "52 connections of 52");
    check(&judge_connections(&plain, 51), Status::Fail, "52 connections of 51");
    check(&judge_connections(&plain, 97), Status::Pass, "of 97");
    let urls = &[("DATABASE_URL", "postgres://a@h/d"), ("DATABASE_OWNER_URL", "postgres://b@h/d")];
    check(&judge_connections(&config(urls), 97), Status::Pass, "a worker take up to 43");
}
