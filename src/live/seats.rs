//! Places for those who look on for long: seats, of which a tenant has so many and all have so many, and a room to wait in until
//! it is said who somebody is. Who has got a place has it until it is dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use super::{Hub, Inner};
use crate::kernel::attempts::network;
use crate::kernel::ids::TenantId;

/// As many may wait to be let in as this part of the seats.
const WAITING_PART: usize = 10;

/// However few seats there are, as many may wait.
const WAITING_MIN: usize = 64;

/// Of these, an address's. Who says at once who they are waits for no longer than that is looked up.
const WAITING_PER_ADDRESS_MAX: usize = 32;

/// What is taken of the places for those who look on for long.
#[derive(Default)]
pub(super) struct Taken {
    /// Seats, with and without a tenant.
    seats: usize,
    of_tenants: HashMap<TenantId, usize>,
    waiting: usize,
    /// By the network that an address is counted as.
    of_addresses: HashMap<String, usize>,
}

impl Taken {
    fn all(&self) -> usize {
        self.seats + self.waiting
    }

    /// Takes a place where there is one.
    fn take(&mut self, place: &Place, hub: &Inner) -> Result<(), Full> {
        if *hub.is_stopping.borrow() || self.seats >= hub.seats_max {
            return Err(Full::All);
        }
        match place {
            Place::Waiting(address) => {
                if self.waiting >= WAITING_MIN.max(hub.seats_max / WAITING_PART) {
                    return Err(Full::All);
                }
                add(&mut self.of_addresses, address.clone(), WAITING_PER_ADDRESS_MAX)?;
                self.waiting += 1;
            }
            Place::Seat(tenant) => {
                if let Some(tenant) = tenant {
                    add(&mut self.of_tenants, *tenant, hub.seats_per_tenant_max)?;
                }
                self.seats += 1;
            }
        }
        Ok(())
    }

    fn give_up(&mut self, place: &Place) {
        match place {
            Place::Waiting(address) => {
                subtract(&mut self.of_addresses, address);
                self.waiting -= 1;
            }
            Place::Seat(tenant) => {
                tenant.iter().for_each(|tenant| subtract(&mut self.of_tenants, tenant));
                self.seats -= 1;
            }
        }
    }
}

fn add<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K, max: usize) -> Result<(), Full> {
    let count = counts.entry(key).or_default();
    if *count >= max {
        return Err(Full::Share);
    }
    *count += 1;
    Ok(())
}

fn subtract<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// A place among those who look on for long, or wait to; given up when it is dropped.
pub struct Seat {
    hub: Hub,
    place: Place,
}

/// Where somebody is.
enum Place {
    /// Among those of a network who have not said who they are.
    Waiting(String),
    /// On a seat, which is a tenant's if it is no operator's.
    Seat(Option<TenantId>),
}

/// No place is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// All are taken that one tenant, or one address, may have.
    Share,
}

impl Hub {
    /// A place for somebody from an address to wait in until they are let in.
    ///
    /// # Errors
    /// All places are taken, or all that the address may have, or all seats.
    pub fn wait(&self, address: IpAddr) -> Result<Seat, Full> {
        self.place(Place::Waiting(network(address)))
    }

    /// A tenant's seat, or an operator's.
    ///
    /// # Errors
    /// All are taken, or all that the tenant may have.
    pub fn seat(&self, tenant: Option<TenantId>) -> Result<Seat, Full> {
        self.place(Place::Seat(tenant))
    }

    fn place(&self, place: Place) -> Result<Seat, Full> {
        let mut result = Err(Full::All);
        self.0.taken.send_if_modified(|taken| {
            result = taken.take(&place, &self.0);
            result.is_ok()
        });
        result.map(|()| Seat { hub: self.clone(), place })
    }

    /// How many look on or wait to.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken.borrow().all()
    }

    /// Has everybody get up, and nobody else sit down.
    pub fn stop(&self) {
        self.0.is_stopping.send_replace(true);
    }

    /// Waits until everybody is to get up.
    pub async fn stopping(&self) {
        // The hub keeps the sender, so there is no error.
        let _ = self.0.is_stopping.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    /// Waits until nobody has a seat or waits for one.
    pub async fn emptied(&self) {
        let _ = self.0.taken.subscribe().wait_for(|taken| taken.all() == 0).await;
    }
}

impl Seat {
    /// Gives up the place for a tenant's seat, or an operator's.
    ///
    /// # Errors
    /// All are taken, or all that the tenant may have. The place is kept.
    pub fn take(&mut self, tenant: Option<TenantId>) -> Result<(), Full> {
        *self = self.hub.seat(tenant)?;
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.0.taken.send_modify(|taken| taken.give_up(&self.place));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn seats_are_counted_for_all_and_for_each() {
        let hub = Hub::new(2, 1);
        let (one, two) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
        let first = hub.seat(Some(one)).unwrap();
        assert_eq!((hub.seat(Some(one)).err(), hub.taken()), (Some(Full::Share), 1));
        let second = hub.seat(None).unwrap();
        let all = Some(Full::All);
        assert_eq!((hub.seat(Some(two)).err(), hub.wait([192, 0, 2, 1].into()).err()), (all, all));
        drop(first);
        let third = hub.seat(Some(one)).unwrap();
        drop((second, third));
        assert!(hub.0.taken.borrow().of_tenants.is_empty() && hub.emptied().now_or_never().is_some());
    }

    #[test]
    fn who_waits_takes_no_seat_and_an_address_waits_in_few_places() {
        let hub = Hub::new(2, 2);
        let (one, others) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut waiting: Vec<Seat> = (0..WAITING_PER_ADDRESS_MAX).map(|_| hub.wait(one).unwrap()).collect();
        assert_eq!(hub.wait(one).err(), Some(Full::Share));
        waiting.extend((WAITING_PER_ADDRESS_MAX..WAITING_MIN).map(|_| hub.wait(others).unwrap()));
        assert_eq!(hub.wait([192, 0, 2, 3].into()).err(), Some(Full::All), "they are all taken");
        let mut first = waiting.remove(0);
        assert_eq!(first.take(Some(TenantId(Uuid::from_u128(1)))), Ok(()));
        waiting.push(hub.wait(one).unwrap());
        assert_eq!(hub.taken(), WAITING_MIN + 1);
        assert_eq!((waiting[0].take(None), waiting[1].take(None)), (Ok(()), Err(Full::All)));
        drop((first, waiting));
        assert!(hub.0.taken.borrow().of_addresses.is_empty() && hub.emptied().now_or_never().is_some());
    }

    #[test]
    fn nobody_sits_down_who_comes_when_all_get_up() {
        let hub = Hub::new(2, 2);
        let mut seat = hub.wait([192, 0, 2, 1].into()).unwrap();
        hub.stop();
        assert_eq!((seat.take(None), hub.seat(None).err()), (Err(Full::All), Some(Full::All)));
        assert!(hub.emptied().now_or_never().is_none());
        drop(seat);
        assert!(hub.emptied().now_or_never().is_some());
    }
}
