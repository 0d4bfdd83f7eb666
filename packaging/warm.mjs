/** What the build runs once so that V8 has compiled what a first result calls: packaging/bundle.mjs puts its code cache into the package. */
import { ones, Tensor } from 'tenon';

const product = Tensor.from([
  [1, 2],
  [3, 4],
]).matmul(ones([2, 2]));
console.assert(`${product.toArray()}` === '3,3,7,7', 'the first product came out wrong');
