// Where GraphiQL keeps its tabs, history and layout, apart for each endpoint so
// that each starts with its own default query. Session storage, because the
// history also keeps the Headers pane, where a token may have been typed.
export function createStorage(namespace) {
  const prefix = `${namespace}:`;
  // The theme is a property of the whole page.
  const keyOf = (name) => (name === 'graphiql:theme' ? name : prefix + name);
  const ownKeys = () => Object.keys(sessionStorage).filter((key) => key.startsWith(prefix));
  return {
    getItem: (name) => sessionStorage.getItem(keyOf(name)),
    setItem: (name, value) => sessionStorage.setItem(keyOf(name), value),
    removeItem: (name) => sessionStorage.removeItem(keyOf(name)),
    clear: () => ownKeys().forEach((key) => sessionStorage.removeItem(key)),
    get length() {
      return ownKeys().length;
    },
  };
}
