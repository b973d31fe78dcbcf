//! SQL of what shops have set.

use diesel::prelude::*;
use diesel::sql_types::Text;
use uuid::Uuid;

use super::model::{Choice, OwnSetting, id_of};
use crate::db::schema::tenant::settings;
use crate::db::{DbError, TenantRead, TenantTx};
use crate::kernel::settings::Setting;
use crate::tenant::idempotency::Recall;

impl Recall for Choice {
    fn id(&self) -> Uuid {
        id_of(self.setting)
    }

    async fn recall(read: &TenantRead, id: Uuid) -> Result<Option<Self>, DbError> {
        let Some(setting) = Setting::ALL.iter().copied().find(|setting| id_of(*setting) == id) else { return Ok(None) };
        let query = settings::table.filter(settings::name.eq(setting.name())).select(OwnSetting::as_select());
        Ok(Some(Self { setting, own: read.first(query).await? }))
    }
}

/// All that the shop has set.
pub async fn own_list(read: &TenantRead) -> Result<Vec<OwnSetting>, DbError> {
    read.load(settings::table.order(settings::name).select(OwnSetting::as_select())).await
}

/// What the shop has set of one, locked until the transaction ends, be there a row or not yet.
pub async fn own_lock(tx: &mut TenantTx, setting: Setting) -> Result<Option<OwnSetting>, DbError> {
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(
        pg_catalog.hashtextextended(pg_catalog.current_schema() || '.settings.' || $1, 0))";
    tx.execute(diesel::sql_query(lock).bind::<Text, _>(setting.name())).await?;
    let query = settings::table.filter(settings::name.eq(setting.name())).select(OwnSetting::as_select());
    Ok(tx.load(query.for_update()).await?.pop())
}

/// Sets one, and answers it as it is kept.
pub async fn own_upsert(tx: &mut TenantTx, own: &OwnSetting) -> Result<OwnSetting, DbError> {
    let insert = diesel::insert_into(settings::table)
        .values(own.clone())
        .on_conflict(settings::name)
        .do_update()
        .set((
            settings::value.eq(own.value.clone()),
            settings::sealed.eq(own.sealed.clone()),
            settings::updated_by.eq(own.updated_by),
            settings::updated_at.eq(own.updated_at),
        ))
        .returning(OwnSetting::as_returning());
    tx.one(insert).await
}

/// Puts what is sealed anew in the place of what was.
pub async fn sealed_update(tx: &mut TenantTx, setting: Setting, sealed: Vec<u8>) -> Result<(), DbError> {
    let own = settings::table.filter(settings::name.eq(setting.name()));
    tx.execute(diesel::update(own).set(settings::sealed.eq(Some(sealed)))).await.map(drop)
}

/// Sets one no more.
pub async fn own_delete(tx: &mut TenantTx, setting: Setting) -> Result<(), DbError> {
    tx.execute(diesel::delete(settings::table.filter(settings::name.eq(setting.name())))).await.map(drop)
}
