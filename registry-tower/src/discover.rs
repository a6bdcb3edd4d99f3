//! Services that come and go with the members of a catalogue.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use registry::{Catalogue, Instance, Members, Name};
use tower::discover::Change;

/// A `tower::discover::Discover` over a [`Catalogue`]: for each member that takes work a service, which is replaced when the
/// member moves, and removed when it goes.
///
/// *Errors never end it*: its error type has no value, and it has no end. During an outage, and after a permanent error,
/// the services stay as they were; [`Catalogue::stale_for`] says for how long. *Order*: new services come before old ones
/// go, so that a set that is replaced as a whole is not empty in between. *A slow reader* is told the difference between
/// what it knows and what is, not every step.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use registry::{Catalogue, Dir, Json};
/// use registry_tower::Discover;
/// use tower::{Service, ServiceExt, balance::p2c::Balance, load::{CompleteOnResponse, PendingRequestsDiscover}};
///
/// let registry = registry::connect("sqlite:")?;
/// let web = Catalogue::follow(&registry, Dir::new("/clusters/web")?, Json);
/// let discover = Discover::new(web, |authority| {
///     let authority = authority.to_owned();
///     // Here a client would be made; this one says where it would have gone.
///     tower::service_fn(move |(): ()| std::future::ready(Ok::<_, std::io::Error>(authority.clone())))
/// });
/// let mut client = Balance::new(PendingRequestsDiscover::new(discover, CompleteOnResponse::default()));
/// println!("{}", client.ready().await?.call(()).await?);
/// # Ok(())
/// # }
/// ```
pub struct Discover<S> {
    changes: Pin<Box<dyn Stream<Item = Change<Name, S>> + Send>>,
}

impl<S: Send + 'static> Discover<S> {
    /// A service for each instance that [takes work](Instance::takes_work), made from its authority (`host:port`).
    pub fn new(catalogue: Catalogue<Instance>, mut make: impl FnMut(&str) -> S + Send + 'static) -> Self {
        let choose = |_: &Name, instance: &Instance| instance.takes_work().then(|| instance.authority());
        Self::with(catalogue, choose, move |_, authority| make(authority))
    }

    /// A service for each member for which `choose` names a target. The service is made from the target by `make`, and
    /// replaced when the target becomes another one; what else changes in a member does not disturb it.
    pub fn with<T, U>(
        catalogue: Catalogue<T>,
        choose: impl FnMut(&Name, &T) -> Option<U> + Send + 'static,
        make: impl FnMut(&Name, &U) -> S + Send + 'static,
    ) -> Self
    where
        T: Clone + PartialEq + Send + Sync + 'static,
        U: PartialEq + Send + 'static,
    {
        let follower = Follower { catalogue, choose, make, there: BTreeMap::new(), due: VecDeque::new() };
        Self { changes: Box::pin(futures_util::stream::unfold(follower, Follower::next)) }
    }
}

impl<S> Stream for Discover<S> {
    type Item = Result<Change<Name, S>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.as_mut().poll_next(context).map(|change| change.map(Ok))
    }
}

impl<S> fmt::Debug for Discover<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discover").finish_non_exhaustive()
    }
}

struct Follower<T, U, S, C, M> {
    catalogue: Catalogue<T>,
    choose: C,
    make: M,
    /// The targets that were told.
    there: BTreeMap<Name, U>,
    due: VecDeque<Change<Name, S>>,
}

impl<T, U, S, C, M> Follower<T, U, S, C, M>
where
    T: Clone + PartialEq + Send + Sync + 'static,
    U: PartialEq,
    C: FnMut(&Name, &T) -> Option<U>,
    M: FnMut(&Name, &U) -> S,
{
    async fn next(mut self) -> Option<(Change<Name, S>, Self)> {
        loop {
            if let Some(change) = self.due.pop_front() {
                return Some((change, self));
            }
            let members = self.catalogue.changed().await;
            self.compare(&members);
        }
    }

    fn compare(&mut self, members: &Members<T>) {
        let mut gone = std::mem::take(&mut self.there);
        for (name, item) in members {
            let Some(target) = (self.choose)(name, item) else { continue };
            if gone.remove(name).is_none_or(|known| known != target) {
                self.due.push_back(Change::Insert(name.clone(), (self.make)(name, &target)));
            }
            self.there.insert(name.clone(), target);
        }
        self.due.extend(gone.into_keys().map(Change::Remove));
    }
}
