"""Writes tests/fixtures/pickles.json: small files as Paddle, Jittor and MegEngine pickle them, and what they hold. Run once with any Python 3 that has
numpy; the frameworks are not needed, as their files are pickles of numpy arrays (MegEngine's class is imitated by name)."""
import base64, collections, hashlib, json, pathlib, pickle, sys, types
import numpy as np

w = (np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5) / 2
arrays = {
    'fc.weight': w,
    'fc.bias': np.array([0.5, -1.25, 3], np.float64),
    'steps': np.array(7, np.int64),
    'mask': np.array([True, False]),
    'half': np.array([1.5, -2], np.float16),
    'wide': np.asfortranarray(w),
    'big_endian': np.array([1, 2, 3], '>i4'),
    'bytes': np.array([1, 255], np.uint8),
}


def module(name, **members):
    parts = name.split('.')
    for i in range(len(parts)):
        sys.modules.setdefault('.'.join(parts[:i + 1]), types.ModuleType('.'.join(parts[:i + 1])))
    for key, value in members.items():
        value.__module__ = name
        setattr(sys.modules[name], key, value)


class Tensor:
    def __new__(cls, data, dtype=None, device=None):
        self = object.__new__(cls)
        self.data = data
        return self

    def __getnewargs__(self):
        return self.data, self.data.dtype, 'xpux'

    def __getstate__(self):
        return {'qdict': {'mode': None, 'scale': None, 'zero_point': None}}


class Parameter(Tensor):
    pass


Tensor.__qualname__, Parameter.__qualname__ = 'Tensor', 'Parameter'
module('megengine.tensor', Tensor=Tensor, Parameter=Parameter)

files = {}
for protocol in (2, 3, 4, 5):
    files[f'paddle.{protocol}.pdparams'] = pickle.dumps(
        {**arrays, 'StructuredToParameterName@@': {'fc.weight': 'linear_0.w_0', 'fc.bias': 'linear_0.b_0'}}, protocol=protocol)
files['paddle.pairs.pdparams'] = pickle.dumps({key: (f'param_{i}', value) for i, (key, value) in enumerate(arrays.items())}, protocol=4)
files['paddle.pdopt'] = pickle.dumps({**arrays, 'LR_Scheduler': {'last_epoch': 3, 'last_lr': 0.01}}, protocol=2)
body = pickle.dumps(arrays, protocol=4)
files['jittor.pkl'] = body + hashlib.sha1(body).digest() + b'HCAJSLHD'
for protocol in (2, 4):
    files[f'megengine.{protocol}.mge'] = pickle.dumps(
        collections.OrderedDict((key, (Parameter if i % 2 else Tensor)(value)) for i, (key, value) in enumerate(arrays.items())), protocol=protocol)
files['nested.pkl'] = pickle.dumps({'model': {'fc': {'weight': w}}, 'list': [arrays['steps'], arrays['mask']], 'epoch': 12}, protocol=0)
out = {
    'tensors': {key: {'shape': list(value.shape), 'values': np.asarray(value, np.float64).ravel().tolist()} for key, value in arrays.items()},
    'files': {key: base64.b64encode(value).decode() for key, value in files.items()},
}
(pathlib.Path(__file__).parent.parent / 'fixtures' / 'pickles.json').write_text(json.dumps(out, indent=1) + '\n')
