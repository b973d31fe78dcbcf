import { defineConfig } from 'vite';

export default defineConfig({
  // The server serves the page at `/` and everything else under `/assets/`.
  base: '/',
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // GraphiQL itself is about a megabyte, and the page needs all of it at once.
    chunkSizeWarningLimit: 1500,
    rolldownOptions: {
      onLog(level, log, report) {
        // "use client" in a dependency speaks to server rendering; there is none here.
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') report(level, log);
      },
    },
  },
});
