//! The open connections, by client: how many one client may have, and who gives way when no place is left.
//!
//! A client is a [`ClientNetwork`]. Trusted proxies carry the connections of many clients: they have no limit of
//! their own and never give way.

use super::extract::Proxies;
use crate::service::metrics::{ClosedConnection, Figures};
use haithe_kernel::{ClientIp, ClientNetwork};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many connections may be open.
#[derive(Debug, Clone)]
pub struct Places {
    /// Of all clients together.
    pub all: usize,
    /// Of one client.
    pub per_client: usize,
    /// Proxies, which are not clients.
    pub proxies: Proxies,
}

/// The open connections.
pub struct Connections {
    places: Places,
    table: Mutex<Table>,
    /// A place may be free: a connection has ended, or a request on one has.
    changed: Notify,
    figures: Arc<Figures>,
}

#[derive(Default)]
struct Table {
    open: usize,
    next: u64,
    /// Each client's connections in the order in which they were accepted.
    clients: HashMap<ClientNetwork, BTreeMap<u64, Arc<Seat>>>,
}

/// The state of one connection.
#[derive(Default)]
struct Seat {
    requests: AtomicUsize,
    served: AtomicBool,
    closed: CancellationToken,
}

impl Seat {
    fn is_idle(&self) -> bool {
        self.requests.load(SeqCst) == 0
    }
}

/// What becomes of a connection that was accepted.
pub enum Admission {
    /// It may be served.
    Admitted(Place),
    /// Its client has as many as it may have.
    ClientLimit,
    /// Every place is taken by a connection with a request in flight.
    Full,
}

impl Connections {
    /// No connection yet. Those that are closed for a limit are counted in `figures`.
    pub fn new(places: Places, figures: Arc<Figures>) -> Arc<Self> {
        Arc::new(Self {
            places,
            table: Mutex::default(),
            changed: Notify::new(),
            figures,
        })
    }

    /// Takes a place for a connection from this address. Where none is left, an idle connection gives way: of
    /// the client that has most, one that has not sent a request yet before one that has, the oldest first.
    pub fn admit(self: &Arc<Self>, peer: ClientIp) -> Admission {
        let client = (!self.places.proxies.trusts(peer)).then(|| peer.network());
        let mut table = self.lock();
        let own = client.and_then(|client| table.clients.get(&client));
        if own.is_some_and(|own| own.len() >= self.places.per_client) {
            drop(table);
            self.figures.closed_connection(ClosedConnection::ClientLimit);
            return Admission::ClientLimit;
        }
        if table.open >= self.places.all {
            let Some((client, number)) = table.gives_way() else {
                return Admission::Full;
            };
            if let Some(seat) = table.leave(Some(client), number) {
                seat.closed.cancel();
                self.figures.closed_connection(ClosedConnection::Room);
            }
        }
        let number = table.next;
        table.next += 1;
        table.open += 1;
        let seat = Arc::<Seat>::default();
        if let Some(client) = client {
            let own = table.clients.entry(client).or_default();
            own.insert(number, Arc::clone(&seat));
        }
        Admission::Admitted(Place {
            connections: Arc::clone(self),
            client,
            number,
            seat,
        })
    }

    /// Ends when [`Admission::Full`] may have passed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The connection that is closed for a new one.
    fn gives_way(&self) -> Option<(ClientNetwork, u64)> {
        let connections = self.clients.iter().flat_map(|(client, own)| {
            let most = std::cmp::Reverse(own.len());
            own.iter().map(move |(number, seat)| (most, client, number, seat))
        });
        connections
            .filter(|(.., seat)| seat.is_idle())
            .min_by_key(|(most, _, number, seat)| (*most, seat.served.load(SeqCst), **number))
            .map(|(_, client, number, _)| (*client, *number))
    }

    /// Frees the place of a connection, unless that was done before.
    fn leave(&mut self, client: Option<ClientNetwork>, number: u64) -> Option<Arc<Seat>> {
        let Some(client) = client else {
            self.open -= 1;
            return None;
        };
        let own = self.clients.get_mut(&client)?;
        let seat = own.remove(&number)?;
        if own.is_empty() {
            self.clients.remove(&client);
        }
        self.open -= 1;
        Some(seat)
    }
}

/// The place of an open connection. Dropping it frees the place.
pub struct Place {
    connections: Arc<Connections>,
    client: Option<ClientNetwork>,
    number: u64,
    seat: Arc<Seat>,
}

impl Place {
    /// A request begins. It is in flight until what this returns is dropped.
    pub fn request(&self) -> InFlight {
        self.seat.requests.fetch_add(1, SeqCst);
        self.seat.served.store(true, SeqCst);
        InFlight {
            connections: Arc::clone(&self.connections),
            seat: Arc::clone(&self.seat),
        }
    }

    /// Ends when the connection must give way to another one.
    pub async fn closed(&self) {
        self.seat.closed.cancelled().await;
    }

    /// Whether a request ever began.
    pub fn was_used(&self) -> bool {
        self.seat.served.load(SeqCst)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().leave(self.client, self.number);
        self.connections.changed.notify_one();
    }
}

/// A request in flight: until the last byte of its response is passed on.
pub struct InFlight {
    connections: Arc<Connections>,
    seat: Arc<Seat>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.seat.requests.fetch_sub(1, SeqCst);
        self.connections.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(all: usize, per_client: usize) -> Arc<Connections> {
        let places = Places {
            all,
            per_client,
            proxies: Proxies(["10.0.0.0/8".parse().unwrap()].into()),
        };
        Connections::new(places, Arc::default())
    }

    fn ip(text: &str) -> ClientIp {
        text.parse().unwrap()
    }

    fn admitted(connections: &Arc<Connections>, from: &str) -> Place {
        match connections.admit(ip(from)) {
            Admission::Admitted(place) => place,
            Admission::ClientLimit => panic!("{from} is at its limit"),
            Admission::Full => panic!("no place is left"),
        }
    }

    #[test]
    fn a_client_has_its_share_and_proxies_have_no_limit() {
        let all = connections(100, 2);
        let held = ["2001:db8::1", "2001:db8::2"].map(|from| admitted(&all, from));
        assert!(matches!(all.admit(ip("2001:db8::3")), Admission::ClientLimit));
        let _other = admitted(&all, "2001:db8:0:1::1");
        let _proxied: Vec<_> = (0..10).map(|_| admitted(&all, "10.0.0.1")).collect();
        drop(held);
        assert!(matches!(all.admit(ip("2001:db8::3")), Admission::Admitted(_)));
    }

    #[test]
    fn the_client_with_most_connections_gives_way_and_no_request_in_flight_does() {
        let all = connections(4, 3);
        let flood: Vec<_> = (0..3).map(|_| admitted(&all, "192.0.2.1")).collect();
        let busy = flood[0].request();
        let quiet = admitted(&all, "192.0.2.2");
        let new = admitted(&all, "192.0.2.3");
        let closed = |place: &Place| place.seat.closed.is_cancelled();
        assert_eq!(flood.iter().map(closed).collect::<Vec<_>>(), [false, true, false]);
        assert!(!closed(&quiet) && !closed(&new));
        // A place that was taken away is not freed twice.
        drop(flood);
        drop(busy);
        assert_eq!(all.lock().open, 2);
    }

    #[test]
    fn one_that_never_sent_a_request_gives_way_before_one_that_did() {
        let all = connections(2, 2);
        let (used, unused) = (admitted(&all, "192.0.2.1"), admitted(&all, "192.0.2.2"));
        drop(used.request());
        let _new = admitted(&all, "192.0.2.3");
        assert!(unused.seat.closed.is_cancelled() && !used.seat.closed.is_cancelled());
    }

    #[tokio::test]
    async fn without_an_idle_connection_a_new_one_waits_for_a_change() {
        let all = connections(1, 1);
        let place = admitted(&all, "192.0.2.1");
        let busy = place.request();
        assert!(matches!(all.admit(ip("192.0.2.2")), Admission::Full));
        drop(busy);
        all.changed().await;
        let new = admitted(&all, "192.0.2.2");
        assert!(place.seat.closed.is_cancelled());
        drop(place);
        drop(new);
        assert_eq!(all.lock().open, 0);
        assert!(all.lock().clients.is_empty());
    }
}
