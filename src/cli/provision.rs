//! `shelfwise tenant provision` and `tenant clone`: one tenant, many of them from a file, or one like another.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::vault;
use super::operator;
use super::output::{error, print_line, print_tenant, tenant_json};
use crate::app::{owner, urls};
use crate::config::Config;
use crate::control::error::ControlError;
use crate::control::graphql::DEFAULT_CURRENCY;
use crate::control::provisioning::bulk::{CONCURRENCY, CONCURRENCY_MAX, Line, Outcome, tenants_provision};
use crate::control::provisioning::{Desk, NewTenant, Provisioned};
use crate::control::sandboxes::tenant_clone;
use crate::db::OwnerDb;
use crate::db::vacuum::vacuum;
use crate::kernel::clock::SystemClock;

/// The most lines of a file.
const LINES_MAX: usize = 100_000;

/// So many new tenants are worth a vacuum of the catalogues.
const VACUUM_FROM: usize = 50;

/// Which tenant, or which file of them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The name in addresses.
    #[arg(required_unless_present = "from")]
    slug: Option<String>,
    /// The name for people.
    #[arg(long, required_unless_present = "from")]
    name: Option<String>,
    /// The code of the plan.
    #[arg(long, required_unless_present = "from")]
    plan: Option<String>,
    /// The address of the first owner.
    #[arg(long, required_unless_present = "from")]
    owner_email: Option<String>,
    /// The currency of all prices; of those lines of a file that name none.
    #[arg(long, default_value = DEFAULT_CURRENCY)]
    currency: String,
    /// A CSV file with the columns `slug`, `name`, `plan`, `owner_email` and, if need be, `currency`: a tenant a line. Lines whose tenant
    /// is there already are passed over, so that the same file may be run again.
    #[arg(long, conflicts_with_all = ["slug", "name", "plan", "owner_email"])]
    from: Option<PathBuf>,
    /// Batches of the file that are worked on at once.
    #[arg(long, default_value_t = CONCURRENCY, requires = "from")]
    concurrency: usize,
    /// Print JSON: of a file, an object for each line and one for all.
    #[arg(long)]
    json: bool,
}

/// Which tenant is copied, and as what.
#[derive(Debug, clap::Args)]
pub struct CloneArgs {
    /// The tenant that is copied.
    slug: String,
    /// The copy's name in addresses.
    #[arg(long = "as")]
    copy: String,
    /// Who is invited as the copy's owner.
    #[arg(long)]
    owner_email: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A line of a file.
#[derive(Debug, Deserialize)]
struct Row {
    slug: String,
    name: String,
    plan: String,
    owner_email: String,
    #[serde(default)]
    currency: String,
}

/// Makes a tenant, or those of a file.
pub async fn run(config: &Config, args: Args) -> anyhow::Result<()> {
    let owner = owner(urls(config)?)?;
    let (vault, operator, spares) = (vault(config), operator(), config.provisioning.spares);
    let desk = Desk { owner: &owner, vault: &vault, clock: &SystemClock, operator: &operator, stock: Some(spares) };
    if let Some(path) = &args.from {
        return many(desk, path, &args).await;
    }
    let Args { slug, name, plan, owner_email, currency, json, .. } = args;
    // Present, or the arguments would have been refused.
    let text = Option::unwrap_or_default;
    let new =
        NewTenant { slug: text(slug), name: text(name), plan: text(plan), owner_email: text(owner_email), currency };
    let desk = Desk { stock: (spares > 0).then_some(spares), ..desk };
    print_provisioned(&desk.tenant_provision(&new).await.map_err(error)?, json)
}

/// Copies a tenant as a sandbox.
pub async fn clone(config: &Config, args: &CloneArgs) -> anyhow::Result<()> {
    let owner = owner(urls(config)?)?;
    let (vault, operator) = (vault(config), operator());
    let desk = Desk { owner: &owner, vault: &vault, clock: &SystemClock, operator: &operator, stock: None };
    let copy = tenant_clone(desk, &args.slug, &args.copy, args.owner_email.as_deref()).await.map_err(error)?;
    Ok(print_tenant(&copy, args.json)?)
}

fn print_provisioned(provisioned: &Provisioned, json: bool) -> anyhow::Result<()> {
    let Provisioned { tenant, steps } = provisioned;
    if json {
        let mut tenant = tenant_json(tenant);
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| json!({ "name": step.name.as_str(), "milliseconds": step.milliseconds() }))
            .collect();
        tenant["steps"] = steps.into();
        return Ok(print_line(format_args!("{tenant}"))?);
    }
    print_tenant(tenant, false)?;
    for step in steps {
        print_line(format_args!("  {:<14} {:>8.1} ms", step.name.as_str(), step.milliseconds()))?;
    }
    Ok(())
}

/// How many lines came to what.
#[derive(Debug, Default)]
struct Counts {
    made: usize,
    found: usize,
    failed: usize,
}

async fn many(desk: Desk<'_>, path: &Path, args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        (1..=CONCURRENCY_MAX).contains(&args.concurrency),
        "--concurrency is 1 to {CONCURRENCY_MAX}: more batches at once would use up the locks of PostgreSQL"
    );
    let (lines, malformed) = read(path, &args.currency)?;
    let (total, started) = (lines.len() + malformed.len(), std::time::Instant::now());
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(total as u64) };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} tenants {per_sec} {eta}")?);
    let mut counts = Counts::default();
    let mut printed = Ok(());
    for (number, problem) in malformed {
        counts.failed += 1;
        bar.inc(1);
        printed =
            printed.and(report(&bar, args.json, number, None, "failed", &[("LINE_MALFORMED".to_owned(), problem)]));
    }
    tenants_provision(desk, lines, args.concurrency, |line, outcome| {
        bar.inc(1);
        let (count, what, reasons) = match outcome {
            Outcome::Made(_) => (&mut counts.made, "made", Vec::new()),
            Outcome::Found => (&mut counts.found, "found", Vec::new()),
            Outcome::Refused(refusals) => {
                let reasons = refusals.into_iter().map(|refusal| (code(&refusal.code), refusal.message)).collect();
                (&mut counts.failed, "failed", reasons)
            }
            Outcome::Failed(failure) => (&mut counts.failed, "failed", vec![of_failure(failure)]),
        };
        *count += 1;
        if args.json || what == "failed" {
            let slug = Some(line.new.slug.as_str());
            let result = report(&bar, args.json, line.number, slug, what, &reasons);
            if printed.is_ok() {
                printed = result;
            }
        }
    })
    .await?;
    bar.finish_and_clear();
    printed?;
    let seconds = started.elapsed().as_secs_f64();
    let Counts { made, found, failed } = counts;
    if args.json {
        let all = json!({ "lines": total, "made": made, "found": found, "failed": failed, "seconds": seconds });
        print_line(format_args!("{all}"))?;
    } else {
        let rate = made as f64 / seconds.max(f64::EPSILON);
        print_line(format_args!(
            "{total} lines: {made} made, {found} were there, {failed} failed; {seconds:.1} s, {rate:.0} a second"
        ))?;
    }
    if made >= VACUUM_FROM {
        vacuum_after(desk.owner, args.json).await?;
    }
    anyhow::ensure!(failed == 0, "{failed} of {total} lines failed; mend them and run the same file again");
    Ok(())
}

/// Says what became of a line.
fn report(
    bar: &ProgressBar,
    json: bool,
    number: u64,
    slug: Option<&str>,
    what: &str,
    reasons: &[(String, String)],
) -> std::io::Result<()> {
    if json {
        let errors: Vec<Value> =
            reasons.iter().map(|(code, message)| json!({ "code": code, "message": message })).collect();
        let line = json!({ "line": number, "slug": slug, "outcome": what, "errors": errors });
        return print_line(format_args!("{line}"));
    }
    bar.suspend(|| {
        for (code, message) in reasons {
            print_line(format_args!("line {number}, {}: {code} {message}", slug.unwrap_or("-")))?;
        }
        Ok(())
    })
}

/// The catalogues are looked after at once, and it is said where that is left to others.
async fn vacuum_after(owner: &OwnerDb, json: bool) -> anyhow::Result<()> {
    let vacuumed = vacuum(owner).await?;
    if json {
        let all = json!({ "vacuumed": vacuumed.done, "notVacuumed": vacuumed.left });
        print_line(format_args!("{all}"))?;
    } else if !vacuumed.left.is_empty() {
        print_line(format_args!(
            "The owner's login may not vacuum {}. Autovacuum will; sooner, as a superuser: VACUUM (ANALYZE)",
            vacuumed.left.join(", ")
        ))?;
    }
    Ok(())
}

/// A file's lines, and those that cannot be read, by number.
type Lines = (Vec<Line>, Vec<(u64, String)>);

/// Reads a file. Its header is line 1.
fn read(path: &Path, currency: &str) -> anyhow::Result<Lines> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let header = reader.headers().with_context(|| format!("cannot read {}", path.display()))?.clone();
    for column in ["slug", "name", "plan", "owner_email"] {
        anyhow::ensure!(header.iter().any(|name| name == column), "the file has no column `{column}`");
    }
    let (mut lines, mut malformed) = (Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    loop {
        let number = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => match record.deserialize::<Row>(Some(&header)) {
                Ok(Row { slug, name, plan, owner_email, currency: own }) => {
                    let currency = if own.is_empty() { currency.to_owned() } else { own };
                    let number = record.position().map_or(number, csv::Position::line);
                    lines.push(Line { number, new: NewTenant { slug, name, plan, owner_email, currency } });
                }
                Err(error) => malformed.push((number, error.to_string())),
            },
            Err(error) if error.is_io_error() => return Err(error.into()),
            Err(error) => {
                let number = error.position().map_or(number, csv::Position::line);
                malformed.push((number, "the line has not as many fields as the header, or is not UTF-8".to_owned()));
            }
        }
        anyhow::ensure!(lines.len() + malformed.len() <= LINES_MAX, "a file has at most {LINES_MAX} lines");
    }
    Ok((lines, malformed))
}

/// A code as the API writes it.
fn code(code: &crate::control::error::ControlErrorCode) -> String {
    match async_graphql::InputType::to_value(code) {
        async_graphql::Value::Enum(name) => name.to_string(),
        other => other.to_string(),
    }
}

/// What is said of a line that its own text cannot mend.
fn of_failure(failure: ControlError) -> (String, String) {
    let code = match &failure {
        ControlError::Db(error) if error.is_unavailable() => "SERVICE_UNAVAILABLE",
        _ => "INTERNAL_ERROR",
    };
    (code.to_owned(), format!("{:#}", error(failure)))
}
