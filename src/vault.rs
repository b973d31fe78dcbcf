//! Tenants' keys, unwrapped: what seals and opens personal data, and hashes what it is looked up by.
//!
//! The registry has the keys wrapped, the servers have the master keys, and neither is of use alone. A key is unwrapped
//! when it is first needed and kept in memory for [`KEPT_FOR`]; nothing here asks the database. What is used is asked of
//! the tenant's context each time, so a key that the registry has no longer opens nothing, be it kept or not.
//!
//! The data of one person are sealed by a key of their own, which the tenant's key seals and the person's row keeps: to
//! erase a person is to destroy those bytes.
//!
//! A tenant that was restored from an archive has a new id and keeps its values as they were sealed, so they stay bound to
//! the id of old, which its entry tells. Its keys are wrapped for the new one: of no use in any other entry.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use moka::sync::Cache;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::crypto::{CryptoConfig, MasterKey};
use crate::kernel::clock::Clock;
use crate::kernel::ids::TenantId;
use crate::kernel::keys::{Purpose, TenantKeys, WrappedKey};
use crate::kernel::seal::{Key, Place, SealError, sealed_by};
use crate::kernel::tenant::TenantCtx;

/// What the place of an archive's wrapped key is called.
const ARCHIVE_KEY: &str = "archive_key";

/// How long an unwrapped key is kept.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Unwrapped keys that are kept at most.
const KEPT_MAX: u64 = 10_000;

/// What the place of a person's sealed key is called.
const SUBJECT_KEY: &str = "subject_key";

/// Why a key cannot be used. It tells ids and never a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key was destroyed, and what it sealed is erased with it: to be shown as such, not as a failure.
    #[error("the key is destroyed")]
    Gone,
    /// This server has not the master key that wraps the tenant's.
    #[error("MASTER_KEYS lacks `{master}`, which wraps the tenant's key {key}")]
    MasterMissing {
        /// The master key's id.
        master: String,
        /// The tenant's key's id.
        key: Uuid,
    },
    /// The wrapped key is not what the master key wrapped for this tenant.
    #[error("the tenant's key {0} does not open under its master key")]
    Damaged(Uuid),
    /// This process was given no master key.
    #[error("MASTER_KEYS holds no key")]
    NoMaster,
    /// The tenant was made before tenants had keys.
    #[error("the tenant has no keys; `shelfwise migrate` makes them")]
    NoKeys,
    /// The key was made after the tenant's context was read: a later look finds it.
    #[error("the tenant's key {0} is younger than what is known of the tenant")]
    Unknown(Uuid),
    /// The value is not what was sealed at its place.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The master keys of this process, and the tenants' keys that it has unwrapped.
#[derive(Clone)]
pub struct Vault {
    masters: Arc<[Master]>,
    unwrapped: Cache<(TenantId, Purpose, Uuid), Arc<Key>>,
    clock: Arc<dyn Clock>,
}

struct Master {
    id: String,
    key: Key,
}

/// One person's key, unwrapped.
pub struct Subject<'a> {
    vault: &'a Vault,
    tenant: TenantId,
    key: Key,
}

impl Vault {
    /// A vault of the configured master keys.
    #[must_use]
    pub fn new(config: &CryptoConfig, clock: Arc<dyn Clock>) -> Self {
        let unwrapped = Cache::builder().max_capacity(KEPT_MAX).time_to_live(KEPT_FOR).build();
        Self { masters: config.master_keys.iter().filter_map(master).collect(), unwrapped, clock }
    }

    /// Seals a value with the tenant's data key.
    ///
    /// # Errors
    /// The tenant's key cannot be used.
    pub fn seal(&self, tenant: &TenantCtx, place: Place, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = self.current(tenant, Purpose::Data)?;
        Ok(key.seal(self.clock.nonce(), tenant.sealed_as, place, plain)?)
    }

    /// Opens what one of the tenant's data keys sealed, the one of now or an earlier one.
    ///
    /// # Errors
    /// [`KeyError::Gone`] where that key was destroyed; the tenant's key cannot be used; or the value is not what was
    /// sealed at this place.
    pub fn open(&self, tenant: &TenantCtx, place: Place, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.sealing_key(tenant, sealed)?.open(tenant.sealed_as, place, sealed)?)
    }

    /// The keyed hash by which a value is found that is stored sealed: equal values of a tenant have equal hashes. `label`
    /// is table and column, as `customers.email`.
    ///
    /// # Errors
    /// The tenant's index key cannot be used.
    pub fn index_hash(&self, tenant: &TenantCtx, label: &'static str, value: &[u8]) -> Result<[u8; 32], KeyError> {
        Ok(self.current(tenant, Purpose::Index)?.hash(label, value))
    }

    /// A new key for one person, and the bytes that the person's row keeps of it.
    ///
    /// # Errors
    /// The tenant's key cannot be used.
    pub fn subject_new(&self, tenant: &TenantCtx, subject: Uuid) -> Result<(Subject<'_>, Vec<u8>), KeyError> {
        let key = Key::new(subject, Zeroizing::new(self.clock.secret()));
        let sealing = self.current(tenant, Purpose::Data)?;
        let wrapped = sealing.seal_key(self.clock.nonce(), tenant.sealed_as, SUBJECT_KEY, &key)?;
        Ok((Subject { vault: self, tenant: tenant.sealed_as, key }, wrapped))
    }

    /// The key of one person by the bytes that the person's row keeps.
    ///
    /// # Errors
    /// [`KeyError::Gone`] where the row keeps none any more: the person was erased. Else as [`Vault::open`].
    pub fn subject(&self, tenant: &TenantCtx, subject: Uuid, wrapped: Option<&[u8]>) -> Result<Subject<'_>, KeyError> {
        let wrapped = wrapped.ok_or(KeyError::Gone)?;
        let place = Place { row: subject, column: SUBJECT_KEY };
        let key = self.sealing_key(tenant, wrapped)?.open_key(tenant.sealed_as, place, wrapped)?;
        Ok(Subject { vault: self, tenant: tenant.sealed_as, key })
    }

    /// One person's key under the tenant's key of now; `None` where it is sealed by that one already.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn subject_reseal(
        &self,
        tenant: &TenantCtx,
        subject: Uuid,
        wrapped: &[u8],
    ) -> Result<Option<Vec<u8>>, KeyError> {
        let sealing = self.current(tenant, Purpose::Data)?;
        if sealed_by(wrapped) == Some(sealing.id) {
            return Ok(None);
        }
        let Subject { key, .. } = self.subject(tenant, subject, Some(wrapped))?;
        Ok(Some(sealing.seal_key(self.clock.nonce(), tenant.sealed_as, SUBJECT_KEY, &key)?))
    }

    /// The key that a tenant uses now.
    fn current(&self, tenant: &TenantCtx, purpose: Purpose) -> Result<Arc<Key>, KeyError> {
        let wrapped = tenant.keys.current(purpose, self.clock.now()).ok_or(KeyError::NoKeys)?;
        self.unwrapped(tenant.id, wrapped)
    }

    /// The tenant's data key that sealed a value.
    fn sealing_key(&self, tenant: &TenantCtx, sealed: &[u8]) -> Result<Arc<Key>, KeyError> {
        let id = sealed_by(sealed).ok_or(SealError::NotAuthentic)?;
        match tenant.keys.by_id(Purpose::Data, id) {
            Some(wrapped) => self.unwrapped(tenant.id, wrapped),
            // A key that others know already must not pass for a destroyed one.
            None if tenant.keys.0.iter().any(|known| known.id > id) || tenant.keys.0.is_empty() => Err(KeyError::Gone),
            None => Err(KeyError::Unknown(id)),
        }
    }

    fn unwrapped(&self, tenant: TenantId, wrapped: &WrappedKey) -> Result<Arc<Key>, KeyError> {
        let name = (tenant, wrapped.purpose, wrapped.id);
        if let Some(key) = self.unwrapped.get(&name) {
            return Ok(key);
        }
        let key = Arc::new(self.unwrap(tenant, wrapped)?);
        self.unwrapped.insert(name, Arc::clone(&key));
        Ok(key)
    }
}

/// What the control plane does with tenants' keys.
impl Vault {
    /// Lets go of all unwrapped keys: a tenant's may have been destroyed. Those that are needed are unwrapped anew, which takes
    /// microseconds.
    pub fn forget(&self) {
        self.unwrapped.invalidate_all();
        // Not when the next key is looked up, but now: what is dropped is overwritten.
        self.unwrapped.run_pending_tasks();
    }

    /// The id of the master key that wraps; `None` where there is none.
    #[must_use]
    pub fn master_first(&self) -> Option<&str> {
        self.masters.first().map(|master| master.id.as_str())
    }

    /// Whether this process has a master key.
    #[must_use]
    pub fn has_master(&self, id: &str) -> bool {
        self.masters.iter().any(|master| master.id == id)
    }

    /// The first keys of a new tenant.
    ///
    /// # Errors
    /// There is no master key.
    pub fn tenant_keys_new(&self, tenant: TenantId) -> Result<TenantKeys, KeyError> {
        let new = |purpose| self.tenant_key_new(tenant, purpose, Duration::ZERO);
        Ok(TenantKeys(vec![new(Purpose::Data)?, new(Purpose::Index)?]))
    }

    /// A new key of a tenant, which is used after a while.
    ///
    /// # Errors
    /// There is no master key.
    pub fn tenant_key_new(&self, tenant: TenantId, purpose: Purpose, after: Duration) -> Result<WrappedKey, KeyError> {
        let key = Key::new(self.clock.new_id(), Zeroizing::new(self.clock.secret()));
        self.wrap(tenant, purpose, &key, self.clock.now() + after)
    }

    /// A tenant's key under the first master key; `None` where it is wrapped by that one already.
    ///
    /// # Errors
    /// The master key that wraps it is missing, or there is none.
    pub fn rewrap(&self, tenant: TenantId, wrapped: &WrappedKey) -> Result<Option<WrappedKey>, KeyError> {
        if self.master_first() == Some(&wrapped.master) {
            return Ok(None);
        }
        self.wrap(tenant, wrapped.purpose, &self.unwrap(tenant, wrapped)?, wrapped.from).map(Some)
    }

    fn wrap(&self, tenant: TenantId, purpose: Purpose, key: &Key, from: DateTime<Utc>) -> Result<WrappedKey, KeyError> {
        let master = self.masters.first().ok_or(KeyError::NoMaster)?;
        let wrapped = master.key.seal_key(self.clock.nonce(), tenant, column(purpose), key)?;
        Ok(WrappedKey { id: key.id, purpose, master: master.id.clone(), wrapped, from })
    }

    fn unwrap(&self, tenant: TenantId, wrapped: &WrappedKey) -> Result<Key, KeyError> {
        let missing = || KeyError::MasterMissing { master: wrapped.master.clone(), key: wrapped.id };
        let master = self.masters.iter().find(|master| master.id == wrapped.master).ok_or_else(missing)?;
        let place = Place { row: wrapped.id, column: column(wrapped.purpose) };
        master.key.open_key(tenant, place, &wrapped.wrapped).map_err(|_| KeyError::Damaged(wrapped.id))
    }
}

/// What archives do with keys.
impl Vault {
    /// A new key for an archive, whose id is the key's; its wrapped bytes, and the id of the master key that wraps it.
    ///
    /// # Errors
    /// There is no master key.
    pub fn archive_key_new(&self, tenant: TenantId, archive: Uuid) -> Result<(Key, Vec<u8>, String), KeyError> {
        let key = Key::new(archive, Zeroizing::new(self.clock.secret()));
        let master = self.masters.first().ok_or(KeyError::NoMaster)?;
        let wrapped = master.key.seal_key(self.clock.nonce(), tenant, ARCHIVE_KEY, &key)?;
        Ok((key, wrapped, master.id.clone()))
    }

    /// The key of an archive.
    ///
    /// # Errors
    /// The master key that wraps it is missing, or the bytes are not what it wrapped for this archive.
    pub fn archive_key(&self, tenant: TenantId, archive: Uuid, wrapped: (&str, &[u8])) -> Result<Key, KeyError> {
        let (id, wrapped) = wrapped;
        let missing = || KeyError::MasterMissing { master: id.to_owned(), key: archive };
        let master = self.masters.iter().find(|master| master.id == id).ok_or_else(missing)?;
        let place = Place { row: archive, column: ARCHIVE_KEY };
        master.key.open_key(tenant, place, wrapped).map_err(|_| KeyError::Damaged(archive))
    }

    /// The key of an archive under the first master key; `None` where it is wrapped by that one already.
    ///
    /// # Errors
    /// As [`Vault::archive_key`], or there is no master key.
    pub fn archive_key_rewrap(
        &self,
        tenant: TenantId,
        archive: Uuid,
        wrapped: (&str, &[u8]),
    ) -> Result<Option<(Vec<u8>, String)>, KeyError> {
        let master = self.masters.first().ok_or(KeyError::NoMaster)?;
        if master.id == wrapped.0 {
            return Ok(None);
        }
        let key = self.archive_key(tenant, archive, wrapped)?;
        let anew = master.key.seal_key(self.clock.nonce(), tenant, ARCHIVE_KEY, &key)?;
        Ok(Some((anew, master.id.clone())))
    }

    /// All keys of a tenant, sealed with an archive's key: what its values are worth nothing without.
    ///
    /// # Errors
    /// A key cannot be unwrapped.
    pub fn tenant_keys_pack(&self, tenant: TenantId, keys: &TenantKeys, archive: &Key) -> Result<TenantKeys, KeyError> {
        let pack = |wrapped: &WrappedKey| {
            let key = self.unwrap(tenant, wrapped)?;
            let sealed = archive.seal_key(self.clock.nonce(), tenant, column(wrapped.purpose), &key)?;
            Ok::<_, KeyError>(WrappedKey { master: archive.id.to_string(), wrapped: sealed, ..wrapped.clone() })
        };
        keys.0.iter().map(pack).collect::<Result<_, _>>().map(TenantKeys)
    }

    /// The keys that [`Vault::tenant_keys_pack`] sealed of a tenant, wrapped for the one that is restored from it.
    ///
    /// # Errors
    /// A key is not what was sealed with the archive's, or there is no master key.
    pub fn tenant_keys_unpack(
        &self,
        (of, to): (TenantId, TenantId),
        packed: &TenantKeys,
        archive: &Key,
    ) -> Result<TenantKeys, KeyError> {
        let unpack = |packed: &WrappedKey| {
            let place = Place { row: packed.id, column: column(packed.purpose) };
            let key = archive.open_key(of, place, &packed.wrapped)?;
            self.wrap(to, packed.purpose, &key, packed.from)
        };
        packed.0.iter().map(unpack).collect::<Result<_, _>>().map(TenantKeys)
    }
}

impl Subject<'_> {
    /// Seals a value of this person.
    ///
    /// # Errors
    /// The value is too long.
    pub fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.key.seal(self.vault.clock.nonce(), self.tenant, place, plain)?)
    }

    /// Opens a value of this person.
    ///
    /// # Errors
    /// The value is not what was sealed at this place.
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.key.open(self.tenant, place, sealed)?)
    }
}

/// What the place of a tenant's wrapped key is called.
fn column(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Data => "tenant_key.data",
        Purpose::Index => "tenant_key.index",
    }
}

/// A master key; a configuration holds none of a wrong length.
fn master(configured: &MasterKey) -> Option<Master> {
    let id = Uuid::from_slice(&Sha256::digest(&configured.id)[..16]).ok()?;
    let key = Key::from_slice(id, configured.key.expose_secret())?;
    Some(Master { id: configured.id.clone(), key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::clock::SystemClock;
    use crate::kernel::tenant::SchemaName;

    const EMAIL: Place = Place { row: Uuid::from_u128(9), column: "customers.email" };

    fn vault(master_keys: &[&MasterKey]) -> Vault {
        let master_keys = master_keys.iter().map(|key| (*key).clone()).collect();
        Vault::new(&CryptoConfig { master_keys }, Arc::new(SystemClock))
    }

    fn master_key(id: &str) -> MasterKey {
        MasterKey::generate(id).unwrap()
    }

    fn tenant(id: u128, keys: TenantKeys) -> TenantCtx {
        let id = TenantId(Uuid::from_u128(id));
        TenantCtx {
            extensions: Default::default(),
            id,
            slug: "acme".parse().unwrap(),
            schema: SchemaName::from(id),
            name: "Acme".to_owned(),
            plan: "free".to_owned(),
            limits: crate::kernel::limits::Limits::AMPLE,
            ruled: Arc::default(),
            flags: crate::kernel::flags::Flags::default(),
            currency: "EUR".parse().unwrap(),
            keys,
            sealed_as: id,
        }
    }

    fn new_tenant(vault: &Vault, id: u128) -> TenantCtx {
        tenant(id, vault.tenant_keys_new(TenantId(Uuid::from_u128(id))).unwrap())
    }

    #[test]
    fn no_tenant_opens_anothers_values_not_even_with_its_entry() {
        let vault = vault(&[&master_key("m1")]);
        let (a, b) = (new_tenant(&vault, 1), new_tenant(&vault, 2));
        let sealed = vault.seal(&a, EMAIL, b"ann@example.org").unwrap();
        assert_eq!(vault.open(&a, EMAIL, &sealed).unwrap(), b"ann@example.org");
        assert!(vault.open(&b, EMAIL, &sealed).is_err());
        // The wrapped keys of one in the entry of the other, with the unwrapped ones in memory.
        let thief = tenant(2, a.keys.clone());
        assert_eq!(vault.open(&thief, EMAIL, &sealed), Err(KeyError::Damaged(a.keys.0[0].id)));
        assert_ne!(vault.index_hash(&a, "x", b"1").unwrap(), vault.index_hash(&b, "x", b"1").unwrap());
    }

    #[test]
    fn a_restored_tenant_opens_what_was_sealed_before_and_nobody_else_does() {
        let vault = vault(&[&master_key("m1")]);
        let a = new_tenant(&vault, 1);
        let (subject, wrapped) = vault.subject_new(&a, Uuid::from_u128(9)).unwrap();
        let (of_person, of_tenant) = (subject.seal(EMAIL, b"p").unwrap(), vault.seal(&a, EMAIL, b"t").unwrap());
        let hash = vault.index_hash(&a, "x", b"1").unwrap();

        let (archive, sealed, master) = vault.archive_key_new(a.id, Uuid::from_u128(7)).unwrap();
        let packed = vault.tenant_keys_pack(a.id, &a.keys, &archive).unwrap();
        let archive = vault.archive_key(a.id, Uuid::from_u128(7), (&master, &sealed)).unwrap();
        let keys = vault.tenant_keys_unpack((a.id, TenantId(Uuid::from_u128(3))), &packed, &archive).unwrap();
        let restored = TenantCtx { sealed_as: a.id, ..tenant(3, keys) };
        assert_eq!(vault.open(&restored, EMAIL, &of_tenant).unwrap(), b"t");
        let person = vault.subject(&restored, Uuid::from_u128(9), Some(&wrapped)).unwrap();
        assert_eq!(person.open(EMAIL, &of_person).unwrap(), b"p");
        assert_eq!(vault.index_hash(&restored, "x", b"1").unwrap(), hash);
        let later = vault.seal(&restored, EMAIL, b"l").unwrap();
        assert_eq!(vault.open(&restored, EMAIL, &later).unwrap(), b"l");

        // Its keys are of no use in any other entry, not even in one that tells the same id of old.
        let thief = TenantCtx { sealed_as: a.id, ..tenant(4, restored.keys.clone()) };
        assert_eq!(vault.open(&thief, EMAIL, &of_tenant), Err(KeyError::Damaged(a.keys.0[0].id)));
        let own = TenantCtx { sealed_as: restored.id, ..(restored.clone()) };
        assert!(matches!(vault.open(&own, EMAIL, &of_tenant), Err(KeyError::Seal(_))));
        let b = TenantCtx { sealed_as: a.id, ..new_tenant(&vault, 2) };
        assert!(vault.open(&b, EMAIL, &of_tenant).is_err(), "who says so has not the keys");
    }

    #[test]
    fn an_archives_key_is_for_one_archive_and_wrapped_anew_it_is_the_same() {
        let (old, new) = (master_key("m1"), master_key("m2"));
        let (of, id) = (TenantId(Uuid::from_u128(1)), Uuid::from_u128(7));
        let (key, wrapped, master) = vault(&[&old]).archive_key_new(of, id).unwrap();
        let sealed = key.seal([1; 12], of, EMAIL, b"x").unwrap();
        let other = Uuid::from_u128(8);
        assert_eq!(vault(&[&old]).archive_key(of, other, (&master, &wrapped)).unwrap_err(), KeyError::Damaged(other));
        let (anew, master) = vault(&[&new, &old]).archive_key_rewrap(of, id, (&master, &wrapped)).unwrap().unwrap();
        assert_eq!(master, "m2");
        let key = vault(&[&new]).archive_key(of, id, (&master, &anew)).unwrap();
        assert_eq!(key.open(of, EMAIL, &sealed).unwrap(), b"x");
        assert_eq!(vault(&[&new]).archive_key_rewrap(of, id, (&master, &anew)), Ok(None));
    }

    #[test]
    fn a_key_has_one_purpose() {
        let vault = vault(&[&master_key("m1")]);
        let mut a = new_tenant(&vault, 1);
        a.keys.0[1].purpose = Purpose::Data;
        a.keys.0[0].purpose = Purpose::Index;
        assert_eq!(vault.seal(&a, EMAIL, b"x"), Err(KeyError::Damaged(a.keys.0[1].id)));
        assert_eq!(vault.index_hash(&a, "x", b"x"), Err(KeyError::Damaged(a.keys.0[0].id)));
    }

    #[test]
    fn a_missing_master_key_is_named_and_nothing_else_is_told() {
        let (old, new) = (master_key("m1"), master_key("m2"));
        let a = new_tenant(&vault(&[&old]), 1);
        let key = a.keys.0[0].id;
        let error = vault(&[&new]).seal(&a, EMAIL, b"x").unwrap_err();
        assert_eq!(error, KeyError::MasterMissing { master: "m1".to_owned(), key });
        assert_eq!(error.to_string(), format!("MASTER_KEYS lacks `m1`, which wraps the tenant's key {key}"));
        assert_eq!(
            vault(&[&master_key("m1")]).seal(&a, EMAIL, b"x"),
            Err(KeyError::Damaged(key)),
            "another of that id"
        );
        assert_eq!(vault(&[]).tenant_keys_new(a.id), Err(KeyError::NoMaster));
        assert_eq!(vault(&[&old]).seal(&tenant(1, TenantKeys::default()), EMAIL, b"x"), Err(KeyError::NoKeys));
    }

    #[test]
    fn what_was_unwrapped_is_let_go_of_and_a_context_without_keys_opens_nothing() {
        let vault = vault(&[&master_key("m1")]);
        let a = new_tenant(&vault, 1);
        let sealed = vault.seal(&a, EMAIL, b"ann@example.org").unwrap();
        assert_eq!(vault.unwrapped.iter().count(), 1);
        vault.forget();
        assert_eq!(vault.unwrapped.iter().count(), 0);
        // The key is in memory again, and of no use to who has not got it from the registry.
        vault.open(&a, EMAIL, &sealed).unwrap();
        let shredded = tenant(1, TenantKeys::default());
        assert_eq!(vault.open(&shredded, EMAIL, &sealed), Err(KeyError::Gone));
        assert_eq!(vault.seal(&shredded, EMAIL, b"x"), Err(KeyError::NoKeys));
    }

    #[test]
    fn wrapped_anew_it_is_the_same_key() {
        let (old, new) = (master_key("m1"), master_key("m2"));
        let a = new_tenant(&vault(&[&old]), 1);
        let sealed = vault(&[&old]).seal(&a, EMAIL, b"x").unwrap();
        let hash = vault(&[&old]).index_hash(&a, "x", b"x").unwrap();
        let both = vault(&[&new, &old]);
        let rewrapped: Vec<WrappedKey> = a.keys.0.iter().map(|key| both.rewrap(a.id, key).unwrap().unwrap()).collect();
        assert_eq!(both.rewrap(a.id, &rewrapped[0]), Ok(None));
        let a = tenant(1, TenantKeys(rewrapped));
        assert_eq!(vault(&[&new]).open(&a, EMAIL, &sealed).unwrap(), b"x");
        assert_eq!(vault(&[&new]).index_hash(&a, "x", b"x").unwrap(), hash);
    }

    #[test]
    fn a_destroyed_key_opens_nothing_though_it_is_kept_in_memory() {
        let vault = vault(&[&master_key("m1")]);
        let mut a = new_tenant(&vault, 1);
        let sealed = vault.seal(&a, EMAIL, b"x").unwrap();
        let younger = vault.tenant_key_new(a.id, Purpose::Data, Duration::ZERO).unwrap();

        // Another server rotates and seals at once: not known yet is not destroyed.
        let ahead = tenant(1, TenantKeys(vec![younger.clone()]));
        let early = vault.seal(&ahead, EMAIL, b"y").unwrap();
        assert_eq!(vault.open(&a, EMAIL, &early), Err(KeyError::Unknown(younger.id)));

        a.keys.0.push(younger);
        assert_eq!(vault.open(&a, EMAIL, &early).unwrap(), b"y");
        a.keys.0.remove(0);
        assert_eq!(vault.open(&a, EMAIL, &sealed), Err(KeyError::Gone));
        a.keys.0.clear();
        assert_eq!(vault.open(&a, EMAIL, &early), Err(KeyError::Gone));
    }

    #[test]
    fn a_persons_key_is_sealed_anew_by_the_key_of_now() {
        let vault = vault(&[&master_key("m1")]);
        let mut a = new_tenant(&vault, 1);
        let ann = Uuid::from_u128(21);
        let (subject, old) = vault.subject_new(&a, ann).unwrap();
        let sealed = subject.seal(EMAIL, b"x").unwrap();
        assert_eq!(vault.subject_reseal(&a, ann, &old), Ok(None));

        let later = vault.tenant_key_new(a.id, Purpose::Data, Duration::from_secs(600)).unwrap();
        a.keys.0.push(later);
        assert_eq!(vault.subject_reseal(&a, ann, &old), Ok(None), "a key that has not begun seals nothing");
        a.keys.0[2].from = DateTime::UNIX_EPOCH;
        let new = vault.subject_reseal(&a, ann, &old).unwrap().unwrap();
        assert_eq!(sealed_by(&new), Some(a.keys.0[2].id));
        assert_eq!(vault.subject_reseal(&a, ann, &new), Ok(None));

        a.keys.0.remove(0);
        assert_eq!(vault.subject(&a, ann, Some(&new)).unwrap().open(EMAIL, &sealed).unwrap(), b"x", "the same key");
        assert_eq!(vault.subject_reseal(&a, ann, &old), Err(KeyError::Gone));
    }

    #[test]
    fn a_person_is_erased_by_destroying_one_key() {
        let vault = vault(&[&master_key("m1")]);
        let a = new_tenant(&vault, 1);
        let (ann, bob) = (Uuid::from_u128(21), Uuid::from_u128(22));
        let name = |row| Place { row, column: "customers.name" };
        let (of_ann, key_of_ann) = vault.subject_new(&a, ann).unwrap();
        let (of_bob, key_of_bob) = vault.subject_new(&a, bob).unwrap();
        let (sealed_ann, sealed_bob) =
            (of_ann.seal(name(ann), b"Ann").unwrap(), of_bob.seal(name(bob), b"Bob").unwrap());
        let open = |subject, key: Option<&[u8]>, sealed: &[u8]| {
            vault.subject(&a, subject, key).and_then(|key| key.open(name(subject), sealed))
        };
        assert_eq!(open(ann, Some(&key_of_ann), &sealed_ann).unwrap(), b"Ann");
        assert_eq!(open(ann, None, &sealed_ann), Err(KeyError::Gone));
        assert_eq!(open(bob, Some(&key_of_bob), &sealed_bob).unwrap(), b"Bob");

        let wrong = Err(KeyError::Seal(SealError::NotAuthentic));
        assert_eq!(open(ann, Some(&key_of_bob), &sealed_ann), wrong, "one's key in another's row");
        assert_eq!(of_bob.open(name(ann), &sealed_ann), wrong, "one's value with another's key");
        assert_eq!(vault.open(&a, name(ann), &sealed_ann), Err(KeyError::Gone), "the tenant's key alone is not enough");
    }
}
