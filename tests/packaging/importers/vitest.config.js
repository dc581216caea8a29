export default { test: { include: ["src/runner.test.js"], globals: true } };
