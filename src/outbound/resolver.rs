//! What a name means at the moment it is connected to, and whose certificates are trusted.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{ClientConfig, RootCertStore};

use super::policy::Policy;

/// Addresses of one name that are tried: whoever runs the name's DNS decides how many there are.
const ADDRESSES_MAX: usize = 8;

/// Finds the addresses of a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Looks a name up and lets pass those addresses that may be called.
pub(super) struct Resolver {
    pub(super) policy: Policy,
    pub(super) lookup: Lookup,
}

/// Look-ups that are under way, by name.
type UnderWay = Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, Result<Vec<IpAddr>, Arc<io::Error>>>>>>>;

/// The look-up by the machine's DNS.
///
/// It holds a thread until the name's servers have answered, or the system has given up, and goes on when nobody waits for it
/// any more. So a name is looked up once at a time: names whose servers are silent cost a thread each, and not one a call.
pub(super) fn machine() -> Lookup {
    let under_way = UnderWay::default();
    Arc::new(move |name| {
        let found = {
            let mut names = under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = || begin(Arc::clone(&under_way), name.clone());
            names.entry(name.clone()).or_insert_with(begin).clone()
        };
        async move { found.await.map_err(|error| io::Error::new(error.kind(), error.to_string())) }.boxed()
    })
}

/// Begins a look-up that goes on whoever waits for it.
fn begin(under_way: UnderWay, name: String) -> Shared<BoxFuture<'static, Result<Vec<IpAddr>, Arc<io::Error>>>> {
    #[expect(clippy::disallowed_methods, reason = "its thread goes on anyway, and it ends with that")]
    let task = tokio::spawn(async move {
        let found = lookup(name.clone()).await;
        under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        found
    });
    async move { task.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(Arc::new) }.boxed().shared()
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        let found = (self.lookup)(name.as_str().to_owned());
        async move {
            let mut ips = found.await?;
            ips.retain(|ip| policy.permits(*ip));
            ips.truncate(ADDRESSES_MAX);
            if ips.is_empty() {
                return Err("no address that may be called".into());
            }
            // The client puts the URL's port in the place of 0.
            Ok(Box::new(ips.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        }
        .boxed()
    }
}

async fn lookup(name: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
}

/// The machine's authorities. Where it has none, no certificate is trusted and every call by HTTPS fails.
pub(crate) fn tls() -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const STRICT: Policy = Policy { allow_loopback: false };

    /// The addresses that may be connected to, of the look-ups that follow each other.
    async fn resolved(lookups: Vec<Vec<[u8; 4]>>) -> Vec<Option<Vec<IpAddr>>> {
        let count = lookups.len();
        let turn = AtomicUsize::new(0);
        let lookup: Lookup = Arc::new(move |_| {
            let ips = &lookups[turn.fetch_add(1, Ordering::Relaxed)];
            std::future::ready(Ok(ips.iter().copied().map(IpAddr::from).collect())).boxed()
        });
        let resolver = Resolver { policy: STRICT, lookup };
        let mut found = Vec::new();
        for _ in 0..count {
            let addresses = resolver.resolve("keys.example".parse().unwrap()).await;
            found.push(addresses.ok().map(|addresses| addresses.map(|address| address.ip()).collect()));
        }
        found
    }

    #[tokio::test]
    async fn a_names_addresses_are_judged_at_each_look() {
        let (public, private) = ([8, 8, 8, 8], [127, 0, 0, 1]);
        let found = resolved(vec![vec![public], vec![private], vec![private, public], vec![]]).await;
        let public = Some(vec![IpAddr::from(public)]);
        assert_eq!(found, [public.clone(), None, public, None]);
    }

    #[tokio::test]
    async fn whoever_runs_a_names_dns_does_not_decide_how_many_addresses_are_tried() {
        let found = resolved(vec![vec![[8, 8, 8, 8]; ADDRESSES_MAX + 1]]).await;
        assert_eq!(found[0].as_ref().unwrap().len(), ADDRESSES_MAX);
    }
}
