/** For `node --import`: the generator of clients needs the compiler's API of TypeScript 5, which 7 does not have. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === 'typescript' ? 'typescript5' : specifier, context),
});
