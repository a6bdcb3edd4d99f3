//! One member of a cluster of three is harmed: the one that a client talks to. Nothing is lost, and the client is told of
//! what the others decide.

use std::time::{Duration, Instant};

use cluster_control_tests::block_on;
use registry::{RegistryExt, State};
use test_servers::Options;
use tokio::time::sleep;

use crate::setting::{Api, Following, Scene, key, listed, put, ttl, until};

/// A lease that is not renewed ends in this time, and a second or two.
const TTL: u64 = 15;
/// How long the harm lasts.
const HARM: Duration = Duration::from_secs(22);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    Killed,
    /// It accepts connections and never answers.
    Frozen,
    /// The other members do not hear from it, nor it from them. Clients reach it.
    CutOff,
    /// Packets from and to clients get lost; it goes on being what it is among the members.
    Unreachable,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    Leader,
    Follower,
}

/// The entry was never absent: it still is the one that came into being in the beginning.
pub(crate) fn harmed(api: Api, who: Who, harm: Harm) {
    block_on(async {
        let mut options = Options::from(api.version());
        if matches!(harm, Harm::CutOff) {
            // A container that is taken off one network may lose its connections on another one, too. Here nothing breaks:
            // the client has to find out by itself.
            options = options.process();
        }
        let mut scene = Scene::start(api, options).await;
        let leader = scene.leader().await;
        let first = match who {
            Who::Leader => leader,
            Who::Follower => (leader + 1) % 3,
        };
        let others = [(first + 1) % 3, (first + 2) % 3];
        let order = [first, others[0], others[1]];
        let registration = scene.client(&order).announce(key("a"), "v", ttl(TTL)).await.expect("registered");
        let token = registration.token().expect("held");
        let following = Following::start(&scene.client(&order)).await;
        following.has("a").await;

        inflict(&mut scene, first, harm).await;
        let begun = Instant::now();
        let witness = scene.witness(&others);
        put(&witness, "b").await;
        following.has("b").await;
        while begun.elapsed() < HARM {
            let status = registration.status();
            assert_eq!(status.held(), Some(token), "after {:?}: {status:?}", begun.elapsed());
            sleep(Duration::from_millis(20)).await;
        }
        let (entries, _) = listed(&witness).await;
        assert!(entries.contains(&("a".to_owned(), token)), "it is another entry: {entries:?}, and it was {token:#}");

        mend(&mut scene, first, harm).await;
        scene.cluster.wait_until_healthy().await.expect("all are well");
        put(&scene.client(&order), "c").await;
        following.has("c").await;
        registration.check().await.expect("held");
        assert_eq!(registration.token(), Some(token));
        {
            let told = following.told();
            assert_eq!((told.snapshots, &told.removed), (1, &Vec::new()), "{told:?}");
        }
        registration.deregister().await.expect("released");
        until("it is gone", || !following.told().members.contains("a")).await;
    });
}

async fn inflict(scene: &mut Scene, member: usize, harm: Harm) {
    match harm {
        Harm::Killed => scene.cluster.member(member).kill().await,
        Harm::Frozen => scene.cluster.member(member).pause().await,
        Harm::CutOff => scene.cluster.cut_off(member).await,
        Harm::Unreachable => {
            scene.cluster.cut_off_from_clients(member, true);
            Ok(())
        }
    }
    .unwrap_or_else(|error| panic!("{error}"));
}

async fn mend(scene: &mut Scene, member: usize, harm: Harm) {
    match harm {
        Harm::Killed => scene.cluster.member(member).start_again().await,
        Harm::Frozen => scene.cluster.member(member).unpause().await,
        Harm::CutOff => scene.cluster.join_again(member).await,
        Harm::Unreachable => {
            scene.cluster.cut_off_from_clients(member, false);
            Ok(())
        }
    }
    .unwrap_or_else(|error| panic!("{error}"));
}

/// Two of three are frozen: nobody can know anything, and that is what is told.
pub(crate) fn without_a_majority(api: Api) {
    block_on(async {
        let mut scene = Scene::start(api, api.version()).await;
        let leader = scene.leader().await;
        let order = [(leader + 1) % 3, leader, (leader + 2) % 3];
        let registration = scene.client(&order).announce(key("a"), "v", ttl(TTL)).await.expect("registered");
        put(&scene.witness(&order), "b").await;
        let following = Following::start(&scene.client(&order)).await;
        for frozen in &order[1..] {
            scene.cluster.member(*frozen).pause().await.expect("frozen");
        }
        until("the loss is told", || registration.status().state == State::Lost).await;
        assert_eq!(registration.token(), None);
        until("the interruption is told", || following.told().interruptions > 0).await;
        assert_eq!(following.told().removed, Vec::<String>::new(), "failure is not absence");
        for frozen in &order[1..] {
            scene.cluster.member(*frozen).unpause().await.expect("thawed");
        }
        until("it is registered again", || registration.token().is_some()).await;
        put(&scene.witness(&order), "c").await;
        following.has("c").await;
        following.has("a").await;
        let told = following.told();
        assert!(!told.removed.contains(&"b".to_owned()), "{told:?}");
    });
}

/// A member that has not heard of the latest changes yet is neither believed nor taken for another history.
pub(crate) fn a_member_that_lags_is_not_believed(api: Api) {
    block_on(async {
        let mut scene = Scene::start(api, api.version()).await;
        let leader = scene.leader().await;
        let late = (leader + 1) % 3;
        let (order, others) = ([late, leader, (leader + 2) % 3], [leader, (leader + 2) % 3]);
        let witness = scene.witness(&others);
        put(&witness, "a").await;
        scene.cluster.cut_off(late).await.expect("cut off");
        put(&witness, "b").await;
        let (_, index) = listed(&witness).await;

        let client = scene.client(&order);
        let following = Following::after(&client, index);
        let (entries, seen) = listed(&client).await;
        assert_eq!((entries.len(), seen.same_epoch(index)), (2, true), "{entries:?}");
        put(&witness, "c").await;
        following.has("c").await;

        scene.cluster.join_again(late).await.expect("joined");
        // It may still be catching up when it is asked.
        let (_, index) = listed(&witness).await;
        let again = Following::after(&scene.client(&order), index);
        put(&witness, "d").await;
        following.has("d").await;
        again.has("d").await;
        for following in [following, again] {
            let told = following.told();
            assert_eq!((told.snapshots, &told.removed), (0, &Vec::new()), "{told:?}");
        }
    });
}
