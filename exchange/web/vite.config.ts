import preact from "@preact/preset-vite";
import { defineConfig } from "vitest/config";

// `npm run dev` serves the sources, and forwards the WebSocket to an exchange on its usual port.
export default defineConfig({
  plugins: [preact()],
  build: { target: "es2022", sourcemap: false, assetsInlineLimit: 0, modulePreload: false },
  server: { proxy: { "/socket": { target: "ws://127.0.0.1:8765", ws: true, rewrite: () => "/" } } },
  test: { environment: "happy-dom", include: ["tests/**/*.test.{ts,tsx}"] },
});
