/**
 * Every public function, method and class of PyTorch 1.13 is here under its name in camelCase, or left out for a
 * reason.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as tenon from '../../src/index.ts';
import * as nn from '../../src/nn/index.ts';
import * as optim from '../../src/optim/index.ts';

const ROOMS = JSON.parse(readFileSync(new URL('../fixtures/torch-names.json', import.meta.url), 'utf8')) as Readonly<
  Record<string, readonly string[]>
>;

const camel = (name: string): string => name.replace(/_+([a-z0-9])/g, (_, c: string) => c.toUpperCase());

const tensors: readonly object[] = [tenon, tenon.functional, tenon.Tensor.prototype, tenon.Parameter.prototype];
const HERE: Readonly<Record<string, readonly object[]>> = {
  torch: tensors,
  Tensor: tensors,
  'nn.functional': tensors,
  'nn.init': [nn.init],
  'nn.utils': [nn, optim],
  'nn.Module': [nn.Module.prototype],
  linalg: [tenon.linalg],
  special: [tenon.special],
  fft: [tenon.fft],
  optim: [optim],
  'optim.lr_scheduler': [optim],
};

/** Names without a counterpart, by reason. */
const LEFT_OUT: Readonly<Record<string, RegExp>> = {
  'tensors do not change: the function without the underscore gives a new one': /_$/,
  'no copy of what does not change': /^(alias|as_strided|detach|diagonal|expand|permute|select|slice|split|split_with_sizes|squeeze|t|transpose|unbind|unfold|unsqueeze|values|view|view_as_complex|view_as_real|indices|(c?col|c?row)_indices)_copy$|^copy$/,
  'another name for one that is here': /^(absolute|arc(cos|sin|tan)h?|arctan2|divide|multiply|subtract|true_divide|greater(_equal)?|less(_equal)?|not_equal|negative|fix|concatenate|row_stack|chain_matmul|vander|range|adjoint|clip_grad_norm|unsafe_(chunk|split|split_with_sizes)|frobenius_norm|nuclear_norm|norm_except_dim|matrix_rank|upsample.*|grid_sampler.*|affine_grid_generator|feature_dropout|constant_pad_nd|convolution|max_pool[123]d_with_indices|(adaptive|fractional)_max_pool[123]d_with_indices|native_(channel_shuffle|dropout|group_norm|norm)|batch_norm_.*|conv_tbc|resize(_as)?|fill|scalar_tensor|as_tensor|asarray|from_numpy|frombuffer|tolist|numpy|ndimension|nelement|type|type_as|new|new_tensor|short|constant|uniform|normal|eye|dirac|orthogonal|sparse|(xavier|kaiming)_(uniform|normal)|diagonal|matmul|multi_head_attention_forward|is_same_size)$/,
  'complex numbers are pairs of tensors': /^(cfloat|cdouble|chalf|imag|is_(complex|conj|neg)|resolve_(conj|neg)|eig|eigvals)$/,
  'sparse layouts: embeddings have row-sparse gradients instead': /sparse|coalesce|(c?col|c?row)_indices|^(indices|values|to_dense|dense_dim|smm|dsmm|hsmm|hspmm|saddmm|spmm|sspaddmm|is_coalesced)$/,
  'quantised dtypes: quantised ONNX models are summed in integers': /quant|qparams|^q_|^q(scheme)$|^int_repr$|^fbgemm_|^fused_moving_avg_obs_fake_quant$/,
  'CUDA, devices and other processors': /cudnn|miopen|mkldnn|cuda|^(cpu|xpu|ipu|hpu|device|get_device|pin_memory|is_pinned|is_(cpu|ipu|meta|mps|ort|vulkan|xpu)|record_stream|is_vulkan_available|SyncBatchNorm|convert_conv2d_weight_memory_format)$/,
  'memory and strides are not to be seen': /^(data_ptr|element_size|is_contiguous|is_set_to|is_shared|storage.*|stride|empty_strided|is_storage|share_memory|layout|memory_format|to_dlpack|from_dlpack|from_file|output_nr|is_inference|is_distributed|as_subclass|volatile|map2?|is_nested|to_padded_tensor)$/,
  'gradients by any tensor come from grad and vjp': /^(grad_fn|is_leaf|retain_grad|retains_grad|register_hook|reinforce)$/,
  'named dims': /^(names|has_names|align_.*|refine_names|rename)$/,
  'functions of one layer, which are modules here': /^(lstm|gru|rnn_(relu|tanh))(_cell)?$/,
  'removed or deprecated in PyTorch': /^(solve|lstsq|symeig|register_backward_hook|dump_patches|T_destination|classproperty)$/,
  'of Python, of TorchScript or of PyTorch’s own machinery': /^(fork|wait|import_ir_module.*|init_num_threads|merge_type_from_type_comment|parse_.*|unify_type_list|candidate|obj|typename|get_file_path|prepare_multiprocessing_environment|read_vitals|set_vital|vitals_enabled|compiled_with_cxx11_abi|set_warn_always|is_warn_always_enabled|handle_torch_function|has_torch_function.*|boolean_dispatch|assert_int_or_pair|is_(tensor|floating_point|nonzero|signed)|can_cast|is_grad_enabled|is_inference_mode_enabled|is_anomaly.*|set_anomaly_enabled|.*autocast.*|save|load|set_printoptions|skip_init)$/,
  'one choice: f32, the number of threads, bits that do not depend on it': /^((get|set)_(default_(dtype|tensor_type)|num_interop_threads|num_threads|deterministic_debug_mode|float32_matmul_precision|flush_denormal)|set_default_tensor_type|set_flush_denormal|.*deterministic_algorithms.*|get_rng_state|set_rng_state|seed|initial_seed)$/,
  'draws that nothing here needs': /^(binomial|poisson|lobpcg)$/,
  'fields do it: assign parameters and modules': /^(add_module|register_(module|parameter)|get_buffer)$/,
  'to(dtype)': /^(bfloat16|double|float|half)$/,
  'state that is no tensor is a field of its class': /^(get|set)_extra_state$|^register_(load_state_dict_post|full_backward)_hook$/,
  'compiled inference folds it by itself': /^fuse_conv_bn_(eval|weights)$/,
  'an argument of constructors, not a member': /^forward$/,
}; // biome-ignore format: a table

describe.each(Object.keys(HERE))('torch: %s', room => {
  it('is here, or left out for a reason', () => {
    const has = (name: string): boolean => HERE[room]!.some(space => camel(name) in space || name in space);
    const missing = ROOMS[room]!.filter(name => !has(name));
    expect(missing.filter(name => !Object.values(LEFT_OUT).some(pattern => pattern.test(name)))).toEqual([]);
  });
});

it('no reason is without a name', () => {
  const names = Object.values(ROOMS).flat();
  expect(Object.entries(LEFT_OUT).filter(([, pattern]) => !names.some(name => pattern.test(name)))).toEqual([]);
});
