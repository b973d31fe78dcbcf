//! What a name means at the moment it is connected to, and whose certificates are trusted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
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

/// The look-up by the machine's DNS.
pub(super) fn machine() -> Lookup {
    Arc::new(|name| lookup(name).boxed())
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
pub(super) fn tls() -> anyhow::Result<ClientConfig> {
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
