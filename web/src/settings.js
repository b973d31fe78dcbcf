import { ENDPOINTS } from './endpoints.js';
import { LINKS } from './links.js';

const STORAGE_KEY = 'shelfwise:settings';

const DEFAULTS = {
  endpoint: 'tenant',
  tenant: '',
  // One token for each endpoint: neither API accepts the other's.
  tokens: { tenant: '', admin: '' },
};

// What this browser tab remembers. Session storage, because a token must not
// outlive the tab it was typed into.
export function loadSettings() {
  let stored;
  try {
    stored = JSON.parse(sessionStorage.getItem(STORAGE_KEY));
  } catch {
    // Something else wrote there; start afresh.
  }
  return {
    endpoint: knownEndpoint(stored?.endpoint),
    tenant: stored?.tenant ?? DEFAULTS.tenant,
    tokens: { ...DEFAULTS.tokens, ...stored?.tokens },
  };
}

export function saveSettings(settings) {
  sessionStorage.setItem(STORAGE_KEY, JSON.stringify(settings));
}

// Reads `#tenant=acme&token=...&endpoint=admin`, or a mailed link's
// `#tenant=acme&invitation=...`, and takes it out of the address bar and the
// history, so that no token is shown, bookmarked or shared by chance. Gives null
// when the fragment holds none of these.
export function takeFragment() {
  // In a query string a plus means a space, which a token never holds.
  const fields = new URLSearchParams(location.hash.slice(1).replaceAll('+', '%2B'));
  const links = Object.keys(LINKS).filter((name) => fields.has(name));
  if (!['tenant', 'token', 'endpoint'].some((name) => fields.has(name)) && !links.length) return null;
  history.replaceState(history.state, '', location.pathname + location.search);
  return {
    endpoint: knownEndpoint(fields.get('endpoint')),
    tenant: fields.get('tenant'),
    token: fields.get('token'),
    link: links.length ? { kind: links[0], token: fields.get(links[0]) } : null,
  };
}

// The settings with what a fragment said; the rest stays.
export function withFragment(settings, fragment) {
  if (!fragment) return settings;
  const { endpoint, tenant, token } = fragment;
  return {
    endpoint,
    tenant: tenant ?? settings.tenant,
    tokens: token === null ? settings.tokens : { ...settings.tokens, [endpoint]: token },
  };
}

function knownEndpoint(key) {
  return Object.hasOwn(ENDPOINTS, key ?? '') ? key : DEFAULTS.endpoint;
}
