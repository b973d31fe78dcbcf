import { useState } from 'react';
import { ENDPOINTS } from './endpoints.js';

// The row above GraphiQL: which API to call, and as whom.
// `onChange` gets the fields that changed; `token` is the current endpoint's.
export function Toolbar({ endpoint, tenant, token, onChange }) {
  const [tokenShown, setTokenShown] = useState(false);
  const isAdmin = endpoint === 'admin';

  return (
    // GraphiQL's class brings its colours and fonts, so the row follows its theme.
    <header className="graphiql-container shelfwise-toolbar">
      <h1>
        <Logo />
        ShelfWise
      </h1>

      <div>
        <label htmlFor="endpoint">Endpoint</label>
        <select
          id="endpoint"
          value={endpoint}
          onChange={(event) => onChange({ endpoint: event.target.value })}
        >
          {Object.entries(ENDPOINTS).map(([key, { label }]) => (
            <option key={key} value={key}>
              {label}
            </option>
          ))}
        </select>
      </div>

      <div>
        <label htmlFor="tenant">Tenant</label>
        <input
          id="tenant"
          value={isAdmin ? '' : tenant}
          placeholder={isAdmin ? 'not used' : 'optional'}
          title={isAdmin ? 'The admin API is not bound to a tenant' : 'Sent as X-Tenant'}
          disabled={isAdmin}
          autoCapitalize="off"
          autoComplete="off"
          spellCheck="false"
          onChange={(event) => onChange({ tenant: event.target.value.trim() })}
        />
      </div>

      <div className="shelfwise-token">
        <label htmlFor="token">Token</label>
        <input
          id="token"
          type={tokenShown ? 'text' : 'password'}
          value={token}
          placeholder={isAdmin ? 'platform-admin token' : 'tenant token'}
          autoCapitalize="off"
          autoComplete="off"
          spellCheck="false"
          onChange={(event) => onChange({ token: event.target.value.trim() })}
        />
        <button
          type="button"
          className="graphiql-un-styled"
          aria-label={tokenShown ? 'Hide token' : 'Show token'}
          title={tokenShown ? 'Hide token' : 'Show token'}
          onClick={() => setTokenShown(!tokenShown)}
        >
          <Eye crossed={tokenShown} />
        </button>
      </div>

      {!token && (
        <p role="note">
          No token? <code>script/server</code> prints one.
        </p>
      )}
    </header>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <rect x="2" y="4" width="5" height="15" rx="1" fill="hsl(var(--color-primary))" />
      <rect x="8.5" y="7" width="4" height="12" rx="1" fill="hsl(var(--color-secondary))" />
      <rect
        x="14.5"
        y="5"
        width="4.5"
        height="14"
        rx="1"
        fill="hsl(var(--color-tertiary))"
        transform="rotate(-12 17 19)"
      />
      <rect x="1" y="20" width="22" height="2" rx="1" fill="currentColor" opacity="0.6" />
    </svg>
  );
}

function Eye({ crossed }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" strokeWidth="2">
      <path d="M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12z" />
      <circle cx="12" cy="12" r="3" />
      {crossed && <path d="M4 4l16 16" />}
    </svg>
  );
}
