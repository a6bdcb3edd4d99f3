//! Three etcd servers that are one cluster, and what they are made to suffer.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::engine::Kind;
use crate::network::Network;
use crate::options::Joined;
use crate::relay::{Cut, Relay};
use crate::{Api, Error, Etcd, Options, Result, Version, free_port, http};

const COUNT: usize = 3;
/// An election, and what comes before it on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);
const QUESTION: Duration = Duration::from_secs(1);

/// Three etcd servers that are one cluster: containers on a network of their own, or processes of this machine.
///
/// Each keeps its data and its address through all that it has to suffer. Dropping the cluster removes all of it, as with
/// [`Etcd`]. It must be dropped inside the runtime that it was started in, or after that has ended.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    // After the members, which must have left it before it goes.
    network: Option<Network>,
}

#[derive(Debug)]
struct Member {
    etcd: Etcd,
    name: String,
    /// The number by which the others know it.
    id: u64,
    /// What clients connect to.
    to_clients: Relay,
    /// What the other members connect to, where there is no network to be taken off.
    to_members: Option<Relay>,
    is_cut_off: bool,
}

/// What a member says of itself.
struct Said {
    id: u64,
    leader: u64,
    term: u64,
}

impl Cluster {
    /// Starts three servers, and returns when they have a leader and answer.
    ///
    /// Fails as [`Etcd::start`] does.
    pub async fn start(options: impl Into<Options>) -> Result<Self> {
        let options = options.into();
        let mut attempts_left = 5;
        loop {
            attempts_left -= 1;
            match Self::launch(&options).await {
                Err(error) if error.is_port_clash() && attempts_left > 0 => {}
                result => return result,
            }
        }
    }

    async fn launch(options: &Options) -> Result<Self> {
        let network = match Kind::find(options.process).await? {
            Kind::Container(docker) => Some(Network::create(docker).await?),
            Kind::Process => None,
        };
        let token = crate::launch::unique();
        let names: [String; COUNT] = std::array::from_fn(|number| format!("{token}-m{}", number + 1));
        let (mut relays, mut listens, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for name in &names {
            let (relay, listen, advertised) = if network.is_some() {
                (None, "http://0.0.0.0:2380".to_owned(), format!("http://{name}:2380"))
            } else {
                let port = free_port();
                let relay = Relay::start(port).await?;
                let advertised = format!("http://127.0.0.1:{}", relay.port());
                (Some(relay), format!("http://127.0.0.1:{port}"), advertised)
            };
            relays.push(relay);
            listens.push(listen);
            all.push((name.clone(), advertised));
        }
        let initial: Vec<_> = all.iter().map(|(name, advertised)| format!("{name}={advertised}")).collect();
        let member = |number: usize| {
            let (name, advertised) = &all[number];
            let mut options = options
                .clone()
                .argument(format!("--name={name}"))
                .argument(format!("--initial-cluster={}", initial.join(",")))
                .argument(format!("--initial-cluster-token={token}"))
                .argument(format!("--listen-peer-urls={}", listens[number]))
                .argument(format!("--initial-advertise-peer-urls={advertised}"));
            options.joined =
                network.as_ref().map(|network| Joined { network: network.name().to_owned(), alias: name.clone() });
            Etcd::launch(crate::launch::Launch::new(options))
        };
        let (one, two, three) = tokio::join!(member(0), member(1), member(2));
        let mut members = Vec::new();
        for ((etcd, name), to_members) in [one, two, three].into_iter().zip(names).zip(relays) {
            let etcd = etcd?;
            let to_clients = Relay::start(etcd.port()).await?;
            let id = first_answer(&etcd).await?.id;
            members.push(Member { etcd, name, id, to_clients, to_members, is_cut_off: false });
        }
        Ok(Self { members, network })
    }

    /// Where clients connect to each of them: `127.0.0.1:PORT`.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("127.0.0.1:{}", member.to_clients.port())).collect()
    }

    /// What runs, for a person.
    pub fn describe(&self) -> String {
        format!("a cluster of {COUNT}: {}", self.members[0].etcd.describe())
    }

    /// One of the servers, to be killed, frozen and started again. Its own port is beside the wire that
    /// [`cut_off_from_clients`](Self::cut_off_from_clients) cuts: for witnesses.
    pub fn member(&mut self, number: usize) -> &mut Etcd {
        &mut self.members[number].etcd
    }

    /// Which of them leads, as the newest of their elections that one can hear of has it. Waits until one does.
    pub async fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let mut newest: Option<Said> = None;
            for member in &self.members {
                if let Ok(said) = ask(&member.etcd).await
                    && newest.as_ref().is_none_or(|newest| said.term > newest.term)
                {
                    newest = Some(said);
                }
            }
            let leader = newest.and_then(|said| self.members.iter().position(|member| member.id == said.leader));
            if let Some(leader) = leader {
                return Ok(leader);
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::new(format!("{} has no leader", self.describe())));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Cuts one of them off from the other members. Clients reach it all the same.
    pub async fn cut_off(&mut self, number: usize) -> Result<()> {
        self.members[number].is_cut_off = true;
        if let Some(network) = &self.network {
            return self.members[number].etcd.leave_network(network.name()).await;
        }
        self.lay_wires();
        Ok(())
    }

    /// Ends what [`cut_off`](Self::cut_off) has begun.
    pub async fn join_again(&mut self, number: usize) -> Result<()> {
        self.members[number].is_cut_off = false;
        if let Some(network) = &self.network {
            let member = &self.members[number];
            return member.etcd.join_network(network.name(), &member.name).await;
        }
        self.lay_wires();
        Ok(())
    }

    /// What comes from a client, and what goes to it, gets lost from now on (or not any more), on open connections too.
    pub fn cut_off_from_clients(&self, number: usize, cut: bool) {
        self.members[number].to_clients.cut(if cut { Cut::All } else { Cut::Nothing });
    }

    /// Makes another member lead, as an administrator does it. Returns which one.
    pub async fn depose(&mut self) -> Result<usize> {
        let leader = self.leader().await?;
        let next = (leader + 1) % COUNT;
        let id = format!("{:x}", self.members[next].id);
        self.members[leader].etcd.etcdctl(Api::V3, &["move-leader", &id]).await?;
        Ok(next)
    }

    /// Compacts the file of every member, one after the other; each answers nothing meanwhile.
    pub async fn defragment(&mut self) -> Result<()> {
        for member in &self.members {
            member.etcd.etcdctl(Api::V3, &["defrag", "--command-timeout=30s"]).await?;
        }
        Ok(())
    }

    /// Removes a member, and adds an empty one in its place and at its address: first as one that only learns, which becomes a
    /// full member when it has caught up. Only processes can.
    pub async fn replace(&mut self, number: usize) -> Result<()> {
        let other = (number + 1) % COUNT;
        let (id, name) = (format!("{:x}", self.members[number].id), self.members[number].name.clone());
        let Some(relay) = &self.members[number].to_members else {
            return Err(Error::new("only a process can be replaced: use `Options::process`"));
        };
        let peers = format!("--peer-urls=http://127.0.0.1:{}", relay.port());
        self.ask(other, &["member", "remove", &id]).await?;
        // The server itself ends by this; it is still there, and refuses, for a moment.
        sleep(Duration::from_millis(500)).await;
        self.ask(other, &["member", "add", &name, "--learner", &peers]).await?;
        self.members[number].etcd.begin_anew("--initial-cluster-state=existing").await?;
        let id = first_answer(&self.members[number].etcd).await?.id;
        self.members[number].id = id;
        // Refused until it has caught up.
        self.ask(other, &["member", "promote", &format!("{id:x}")]).await?;
        self.members[number].etcd.wait_until_healthy().await
    }

    /// Goes on as this version, one member after the other. Only processes can.
    pub async fn upgrade(&mut self, to: Version) -> Result<()> {
        for number in 0..COUNT {
            self.members[number].etcd.upgrade(to).await?;
            // As the manual says: each has to be well before the next.
            self.wait_until_healthy().await?;
        }
        Ok(())
    }

    /// What is refused now may be done later: after an election, or when a member has caught up.
    async fn ask(&self, member: usize, arguments: &[&str]) -> Result<String> {
        let begun = Instant::now();
        loop {
            match self.members[member].etcd.etcdctl(Api::V3, arguments).await {
                Err(_) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(300)).await,
                result => return result,
            }
        }
    }

    /// Returns when every one of them answers and has a leader.
    pub async fn wait_until_healthy(&mut self) -> Result<()> {
        for member in &mut self.members {
            member.etcd.wait_until_healthy().await?;
        }
        Ok(())
    }

    /// Between processes: what a member that is cut off sends reaches nobody, and what others send does not reach it.
    fn lay_wires(&self) {
        let cut_off: Vec<_> = self.members.iter().filter(|member| member.is_cut_off).map(|member| member.id).collect();
        for member in &self.members {
            if let Some(relay) = &member.to_members {
                relay.cut(match (member.is_cut_off, cut_off.is_empty()) {
                    (true, _) => Cut::All,
                    (false, true) => Cut::Nothing,
                    (false, false) => Cut::From(cut_off.clone()),
                });
            }
        }
    }
}

/// The same of one that was just started, and may be busy with that.
async fn first_answer(etcd: &Etcd) -> Result<Said> {
    let begun = Instant::now();
    loop {
        match ask(etcd).await {
            Err(_) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(50)).await,
            result => return result,
        }
    }
}

/// Asks a member itself, without the consent of the others.
async fn ask(etcd: &Etcd) -> Result<Said> {
    let (_, body) = http::request(QUESTION, etcd.port(), "POST", "/v3/maintenance/status", "{}").await?;
    let number = |name: &str| {
        let rest = body.split(&format!("\"{name}\":\"")).nth(1)?;
        rest.split('"').next()?.parse::<u64>().ok()
    };
    match (number("member_id"), number("raft_term").or_else(|| number("raftTerm"))) {
        // Without a leader that field is left out.
        (Some(id), Some(term)) => Ok(Said { id, leader: number("leader").unwrap_or_default(), term }),
        _ => Err(Error::new(format!("this is no status of a member: {body}"))),
    }
}
