import { useEffect, useMemo, useRef, useState } from 'react';
import { StorageContextProvider } from '@graphiql/react';
import { GraphiQL } from 'graphiql';
import { ENDPOINTS } from './endpoints.js';
import { createFetcher } from './fetcher.js';
import { LINKS } from './links.js';
import { createStorage } from './storage.js';

// Long enough to type a slug without an introspection at each key.
const SETTLE_MS = 400;

// GraphiQL for one endpoint; mount it anew (with a `key`) for another.
// `panel` is the side panel that is open, kept outside so it survives that.
// `link` is what a mailed link brought: which one, and its token.
export function Explorer({ endpoint, tenant, token, link, panel, onPanelChange }) {
  const { url, defaultQuery } = ENDPOINTS[endpoint];

  const credentials = useRef({ tenant, token });
  useEffect(() => {
    credentials.current = { tenant, token };
  }, [tenant, token]);

  const settledTenant = useSettled(tenant);
  const settledToken = useSettled(token);
  // A new fetcher is what makes GraphiQL introspect again, hence the settled
  // values among the dependencies.
  const fetcher = useMemo(
    () => createFetcher(url, () => credentials.current),
    [url, settledTenant, settledToken],
  );

  // GraphiQL holds its storage in a variable of its module, set by an effect, so
  // a second GraphiQL would start with the tabs of the first. Hence one render
  // that only puts the new storage there.
  const storage = useMemo(() => createStorage(endpoint), [endpoint]);
  const [storageReady, setStorageReady] = useState(false);
  useEffect(() => setStorageReady(true), []);
  if (!storageReady) return <StorageContextProvider storage={storage} />;

  return (
    <GraphiQL
      fetcher={fetcher}
      storage={storage}
      defaultQuery={defaultQuery}
      query={link ? LINKS[link.kind] : undefined}
      variables={link ? JSON.stringify({ token: link.token, password: '' }, null, 2) : undefined}
      shouldPersistHeaders={false}
      // Without a token the server would only refuse, so there is no schema yet.
      schema={settledToken ? undefined : null}
      visiblePlugin={panel}
      onTogglePluginVisibility={(plugin) => onPanelChange(plugin?.title)}
    />
  );
}

// The value, once it has not changed for a while.
function useSettled(value) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
