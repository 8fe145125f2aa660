export default {
  // The built page works in any folder of a host.
  base: "./",
  // For `await` outside of functions.
  build: { target: "es2022" },
  // With these headers the device `cpu` may use all cores. Let your host send them too.
  server: {
    headers: { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" },
  },
};
