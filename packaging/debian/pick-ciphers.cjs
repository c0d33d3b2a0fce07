// In the package this directory has the name of ssh2's compiled file, and require finds this by its package.json. Such a file fits one
// Node ABI, and there is one for each that we support. For another this throws, and ssh2 does the same in JavaScript.
module.exports = require(`./${process.versions.modules}.node`);
