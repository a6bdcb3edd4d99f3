//! The tables.

use std::fmt::Write as _;
use std::time::Duration;

use super::costs::Figures;
use super::demand::{Demand, reach};
use super::herd::{Outage, simulate};
use super::shape::Shape;

const OUTAGE: Duration = Duration::from_mins(1);

pub(super) fn tables(figures: &Figures, members: &[u64]) -> String {
    let mut text = String::new();
    steady(&mut text, figures, members);
    restart(&mut text, figures, members);
    reaches(&mut text, figures);
    herds(&mut text, figures, members);
    text
}

#[expect(clippy::cast_precision_loss, reason = "nobody has so many members")]
fn each(members: &[u64]) -> impl Iterator<Item = (f64, Shape)> + '_ {
    members.iter().flat_map(|members| Shape::ALL.map(|shape| (*members as f64, shape)))
}

fn steady(text: &mut String, figures: &Figures, members: &[u64]) {
    text.push_str(
        "### In the long run, while the fleet is rolled over\n\n\
         | members | who speaks to etcd | renewals/s | changes/s | told/s | pages/s | bytes/s | watchers | connections | cores | memory | disk | clusters | the first limit |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (members, shape) in each(members) {
        let demand = Demand::of(figures, members, shape);
        let first = demand.needs(figures)[0];
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {}B | {} | {} | {} | {}B | {}B | {} | {} ({} %) |",
            short(members),
            shape.name(),
            short(demand.renewals),
            short(demand.changes),
            short(demand.told),
            short(demand.pages),
            short(demand.bytes),
            short(demand.watchers),
            short(demand.connections),
            short(demand.cores),
            short(demand.memory),
            short(demand.disk),
            short(demand.clusters(figures)),
            first.what,
            short(first.clusters * 100.0),
        );
    }
}

fn restart(text: &mut String, figures: &Figures, members: &[u64]) {
    text.push_str(
        "\n### When everything is started anew, and when a part dies together\n\n\
         | members | who speaks to etcd | writes | seconds of a core | bytes | at least, on one cluster | at least, on as many as above | its entries gone after |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (members, shape) in each(members) {
        let demand = Demand::of(figures, members, shape);
        let clusters = demand.clusters(figures);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {}B | {} | {} | {} |",
            short(members),
            shape.name(),
            short(demand.start.writes),
            short(demand.start.cpu),
            short(demand.start.bytes),
            span(demand.start.seconds(figures, 1.0)),
            span(demand.start.seconds(figures, clusters)),
            span(figures.members.ttl + demand.expiring / clusters),
        );
    }
}

fn reaches(text: &mut String, figures: &Figures) {
    text.push_str(
        "\n### How far one cluster reaches\n\n| who speaks to etcd | members | then it lacks |\n|---|---|---|\n",
    );
    for shape in Shape::ALL {
        let (members, what) = reach(figures, shape);
        let _ = writeln!(text, "| {} | {} | {what} |", shape.name(), short(members));
    }
}

fn herds(text: &mut String, figures: &Figures, members: &[u64]) {
    text.push_str(
        "\n### After an outage of a minute, simulated with the library's own backing off\n\n\
         | members | who speaks to etcd | watches and registrations | clusters | answered/s | tries/s in the outage | tries/s after it | all are back after | tries for each |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (members, shape) in each(members) {
        let demand = Demand::of(figures, members, shape);
        let clusters = demand.clusters(figures);
        let clients = demand.watchers + members;
        // Half of the answers are renewals, half are watches that are opened anew; a watch costs about what a page does.
        let each = f64::midpoint(figures.cost.renewal_cpu, figures.cost.page_cpu) / 1e6;
        let capacity = figures.limit.cores * figures.limit.servers * clusters / each;
        let herd = simulate(Outage { clients, lasts: OUTAGE, capacity });
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {:.1} |",
            short(members),
            shape.name(),
            short(clients),
            short(clusters),
            short(capacity),
            short(herd.peak_during),
            short(herd.peak_after),
            herd.recovered.map_or("never".to_owned(), |after| span(after.as_secs_f64())),
            herd.requests,
        );
    }
}

/// Three digits and a thousand's letter.
fn short(value: f64) -> String {
    let sizes = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    let (value, unit) =
        sizes.iter().find(|(size, _)| value >= *size).map_or((value, " "), |(size, unit)| (value / size, *unit));
    let digits = match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    format!("{digits}{unit}").trim_end().to_owned()
}

fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{} s", short(seconds)),
        seconds if seconds < 7200.0 => format!("{} min", short(seconds / 60.0)),
        seconds => format!("{} h", short(seconds / 3600.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.034, 5.0, 12.34, 999.0, 1000.0, 2_220_000.0, 1e7].map(short),
            ["0", "0.03", "5", "12.3", "999", "1 k", "2.22 M", "10 M"]
        );
        assert_eq!([3.0, 180.0, 36_000.0].map(span), ["3 s", "3 min", "10 h"]);
    }

    #[test]
    fn every_table_has_as_many_cells_as_its_head() {
        let figures = Figures::parse(include_str!("../../figures.toml")).unwrap();
        let text = tables(&figures, &[1_000, 100_000]);
        for table in text.split("### ").skip(1) {
            let rows: Vec<_> = table.lines().filter(|line| line.starts_with('|')).collect();
            assert!(rows.len() >= 5, "{table}");
            let cells = rows[0].matches('|').count();
            assert!(rows.iter().all(|row| row.matches('|').count() == cells), "{table}");
        }
    }
}
