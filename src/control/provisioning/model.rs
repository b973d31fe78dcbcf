//! A tenant that is to be made.

use crate::control::error::ControlErrorCode;
use crate::failure::Refusal;
use crate::kernel::email::Email;
use crate::kernel::money::Currency;
use crate::kernel::tenant::{SlugError, TenantSlug};
use crate::kernel::text::tidy;

/// The most characters of a tenant's name.
pub const NAME_LEN_MAX: usize = 200;

/// A request for a tenant, as it was typed.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// The name in addresses.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// The code of the plan.
    pub plan: String,
    /// The address of the first owner.
    pub owner_email: String,
    /// The currency of all prices.
    pub currency: String,
}

/// A request for a tenant that keeps all rules.
#[derive(Debug, Clone)]
pub struct ValidTenant {
    /// The name in addresses.
    pub slug: TenantSlug,
    /// The name for people.
    pub name: String,
    /// The code of the plan; whether it exists is the database's to say.
    pub plan: String,
    /// The address of the first owner.
    pub owner_email: Email,
    /// The currency of all prices.
    pub currency: Currency,
}

/// What the registry is told of a new tenant.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The name in addresses.
    pub slug: &'a TenantSlug,
    /// The name for people.
    pub name: &'a str,
    /// The code of the plan.
    pub plan: &'a str,
    /// The currency of all prices.
    pub currency: Currency,
}

impl NewTenant {
    /// Checks every field and reports every one that is wrong.
    ///
    /// # Errors
    /// A refusal for each field that breaks a rule.
    pub fn validate(&self) -> Result<ValidTenant, Vec<Refusal<ControlErrorCode>>> {
        let mut refusals = Vec::new();
        let mut refuse = |code, message: String, field: &'static str| {
            refusals.push(Refusal::new(code, message, &["input", field]));
        };
        let slug = self.slug.parse::<TenantSlug>().map_err(|error| {
            refuse(slug_code(error), format!("`{}`: {error}.", self.slug), "slug");
        });
        let name = tidy(&self.name);
        if !is_name(&name) {
            refuse(ControlErrorCode::NameInvalid, format!("A name has 1 to {NAME_LEN_MAX} characters."), "name");
        }
        let owner_email = self.owner_email.parse::<Email>().map_err(|error| {
            refuse(ControlErrorCode::OwnerEmailInvalid, format!("The owner's address is {error}."), "ownerEmail");
        });
        let currency = self.currency.parse::<Currency>().map_err(|error| {
            refuse(ControlErrorCode::CurrencyInvalid, format!("`{}`: {error}.", self.currency), "currency");
        });
        match (slug, owner_email, currency) {
            (Ok(slug), Ok(owner_email), Ok(currency)) if refusals.is_empty() => {
                Ok(ValidTenant { slug, name, plan: tidy(&self.plan), owner_email, currency })
            }
            _ => Err(refusals),
        }
    }
}

/// A slug that was typed as the argument `field`.
///
/// # Errors
/// It breaks a rule of slugs.
pub fn slug_valid(slug: &str, field: &'static str) -> Result<TenantSlug, Refusal<ControlErrorCode>> {
    slug.parse().map_err(|error| Refusal::new(slug_code(error), format!("`{slug}`: {error}."), &[field]))
}

/// A tenant's name that was typed as the argument `field`, as it is stored.
///
/// # Errors
/// It is blank or too long.
pub fn name_valid(name: &str, field: &'static str) -> Result<String, Refusal<ControlErrorCode>> {
    let name = tidy(name);
    let message = format!("A name has 1 to {NAME_LEN_MAX} characters.");
    if is_name(&name) { Ok(name) } else { Err(Refusal::new(ControlErrorCode::NameInvalid, message, &[field])) }
}

/// The code for a text that is no slug.
#[must_use]
pub fn slug_code(error: SlugError) -> ControlErrorCode {
    match error {
        SlugError::Reserved => ControlErrorCode::SlugReserved,
        SlugError::Length | SlugError::Characters => ControlErrorCode::SlugInvalid,
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&name.chars().count())
}
