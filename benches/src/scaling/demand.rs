//! What so many members ask of the servers.

use super::costs::{Cost, Figures, Members};
use super::shape::Shape;

/// What the members ask of the whole cluster in the long run, while the fleet is rolled over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    pub(crate) renewals: f64,
    /// Put and removed entries per second.
    pub(crate) changes: f64,
    /// Changes that are told per second, counted once for each watcher.
    pub(crate) told: f64,
    /// Pages of lists per second.
    pub(crate) pages: f64,
    pub(crate) listed: f64,
    pub(crate) watchers: f64,
    pub(crate) connections: f64,
    pub(crate) cores: f64,
    pub(crate) bytes: f64,
    pub(crate) memory: f64,
    pub(crate) disk: f64,
    /// Seconds until the last entry is gone when as many die together as may.
    pub(crate) expiring: f64,
    /// The registrations and lists when everything is started anew.
    pub(crate) start: Start,
}

/// Everything is started anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Start {
    /// Seconds of one core.
    pub(crate) cpu: f64,
    pub(crate) bytes: f64,
    pub(crate) writes: f64,
}

/// A limit, and how many clusters it takes to stay below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Need {
    pub(crate) what: &'static str,
    pub(crate) clusters: f64,
}

impl Demand {
    pub(crate) fn of(figures: &Figures, members: f64, shape: Shape) -> Self {
        let Figures { cost, limit, members: habits } = figures;
        let directories = (members / habits.directory).max(1.0);
        let hosts = (members / habits.host).ceil();
        let everybody = (members * habits.follows).max(1.0);
        let agents = hosts * habits.host_follows.min(directories);
        // Who is told by the servers, and who reads lists of them.
        let (watchers, readers, connections) = match shape {
            Shape::Direct => (everybody, everybody, members),
            Shape::Proxies => (everybody.min(directories * habits.proxies), everybody, habits.proxies),
            Shape::Agents => (agents, agents, hosts),
        };
        let size = habits.directory.min(members);
        let changes = 2.0 * members / habits.rollout;
        let told = changes * watchers / directories;
        let lists = readers / spread(habits.compare);
        let renewals = members / spread(habits.ttl / 3.0);
        let pages = lists * (size / habits.page).ceil();
        let listed = lists * size;
        let cpu = renewals * cost.renewal_cpu
            + changes * cost.change_cpu
            + told * cost.told_cpu
            + pages * cost.page_cpu
            + listed * cost.listed_cpu;
        let bytes = renewals * cost.renewal_bytes
            + changes * cost.change_bytes
            + told * cost.told_bytes
            + listed * cost.listed_bytes;
        Self {
            renewals,
            changes,
            told,
            pages,
            listed,
            watchers,
            connections,
            cores: cpu / 1e6,
            bytes,
            memory: members * cost.member_memory
                + watchers * cost.watcher_memory
                + connections * cost.connection_memory,
            disk: (members + changes * habits.history) * cost.revision_disk,
            expiring: members * habits.die / limit.expiries,
            start: Start::of(cost, habits, members, readers, size),
        }
    }

    /// The limits, the one that is reached first at the front.
    pub(crate) fn needs(&self, figures: &Figures) -> Vec<Need> {
        let limit = &figures.limit;
        let mut needs = vec![
            // Reads and watches are shared by the servers; each of them applies every write.
            Need { what: "CPU", clusters: self.cores / (limit.cores * limit.servers) },
            Need { what: "network", clusters: self.bytes / (limit.network * limit.servers) },
            Need { what: "memory", clusters: self.memory / limit.memory },
            Need { what: "database", clusters: self.disk / limit.database },
            Need { what: "writes", clusters: self.changes / limit.writes },
            // Who died must be gone within another time to live.
            Need { what: "lease expiry", clusters: self.expiring / figures.members.ttl },
        ];
        needs.sort_by(|a, b| b.clusters.total_cmp(&a.clusters));
        needs
    }

    pub(crate) fn clusters(&self, figures: &Figures) -> f64 {
        self.needs(figures).first().map_or(0.0, |need| need.clusters.ceil().max(1.0))
    }
}

impl Start {
    fn of(cost: &Cost, habits: &Members, members: f64, readers: f64, size: f64) -> Self {
        let pages = readers * (size / habits.page).ceil();
        let cpu = members * cost.registration_cpu + pages * cost.page_cpu + readers * size * cost.listed_cpu;
        let bytes = members * cost.registration_bytes + readers * size * cost.listed_bytes;
        Self { cpu: cpu / 1e6, bytes, writes: 2.0 * members }
    }

    /// How long the servers take for it at least.
    pub(crate) fn seconds(&self, figures: &Figures, clusters: f64) -> f64 {
        let limit = &figures.limit;
        let servers = limit.servers * clusters;
        (self.cpu / (limit.cores * servers))
            .max(self.bytes / (limit.network * servers))
            .max(self.writes / (limit.writes * clusters))
    }
}

/// The mean of an interval that is shortened by up to a fifth.
fn spread(interval: f64) -> f64 {
    interval * 0.9
}

/// From how many members on a single cluster is not enough.
pub(crate) fn reach(figures: &Figures, shape: Shape) -> (f64, &'static str) {
    let fits = |members: f64| Demand::of(figures, members, shape).needs(figures)[0].clusters <= 1.0;
    let (mut low, mut high) = (1.0, 1e12);
    while high / low > 1.001 {
        let middle = f64::sqrt(low * high);
        if fits(middle) { low = middle } else { high = middle }
    }
    (low, Demand::of(figures, high, shape).needs(figures)[0].what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures::parse(include_str!("../../figures.toml")).unwrap()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * b.abs()
    }

    #[test]
    fn demand_is_what_the_habits_say() {
        let mut figures = figures();
        figures.members.ttl = 15.0;
        figures.members.compare = 60.0;
        (figures.members.directory, figures.members.follows, figures.members.rollout) = (100.0, 3.0, 1000.0);
        let demand = Demand::of(&figures, 1000.0, Shape::Direct);
        assert!(near(demand.renewals, 1000.0 / 4.5));
        assert!(near(demand.changes, 2.0));
        assert!(near(demand.watchers, 3000.0));
        // Three hundred follow each of the ten directories.
        assert!(near(demand.told, 600.0));
        assert!(near(demand.listed, 3000.0 / 54.0 * 100.0));
        assert!(near(demand.pages, 3000.0 / 54.0));
    }

    #[test]
    fn twice_the_members_are_twice_the_demand() {
        for shape in Shape::ALL {
            let [one, two] = [1e6, 2e6].map(|members| Demand::of(&figures(), members, shape));
            assert!(near(two.cores, 2.0 * one.cores) && near(two.bytes, 2.0 * one.bytes), "{shape:?}");
            assert!(near(two.disk, 2.0 * one.disk) && near(two.start.cpu, 2.0 * one.start.cpu), "{shape:?}");
        }
    }

    #[test]
    fn what_stands_between_saves_watchers_and_costs_nothing_else() {
        let figures = figures();
        let [direct, proxies, agents] = Shape::ALL.map(|shape| Demand::of(&figures, 100_000.0, shape));
        assert!(proxies.watchers < direct.watchers && agents.watchers < direct.watchers);
        assert!(near(proxies.pages, direct.pages), "lists go through a proxy");
        assert!(agents.pages < direct.pages && near(agents.renewals, direct.renewals));
    }

    #[test]
    fn the_reach_is_where_the_first_limit_is_met() {
        let figures = figures();
        for shape in Shape::ALL {
            let (reach, what) = reach(&figures, shape);
            assert!(near(Demand::of(&figures, reach * 0.5, shape).clusters(&figures), 1.0));
            let beyond = Demand::of(&figures, reach * 2.0, shape);
            assert!(beyond.clusters(&figures) >= 2.0, "{shape:?} at {reach}");
            assert_eq!(beyond.needs(&figures)[0].what, what, "{shape:?}");
        }
    }
}
