//! The units of a device that multiply small matrices of halves.
//!
//! wgpu calls their use experimental and wants to be told that this is known. Only on Vulkan: naga writes what the shaders do for
//! Metal too, but not with quads in the memory that a workgroup shares, and for DirectX 12 not at all.

use matex_codegen_gpu::Units;

/// What has to be asked for to use units: the feature, where the adapter has units that there is code for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) units: Option<Units>,
    pub(super) features: wgpu::Features,
    pub(super) experimental: wgpu::ExperimentalFeatures,
}

/// The units of an adapter: small square matrices of halves that are added up in single precision, held by subgroups that always have the same
/// number of threads.
pub(super) fn ask(adapter: &wgpu::Adapter, limits: &wgpu::Limits) -> Asked {
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        | wgpu::Features::SUBGROUP
        | wgpu::Features::SHADER_F16;
    let info = adapter.get_info();
    let able = info.backend == wgpu::Backend::Vulkan
        && info.subgroup_min_size == info.subgroup_max_size
        && adapter.features().contains(needed);
    let fits = |units: &Units| units.shared_bytes() <= limits.max_compute_workgroup_storage_size;
    let all = adapter.cooperative_matrix_properties().into_iter().filter(|_| able);
    // The larger ones are faster where there are several.
    let units = all.filter_map(|p| of(&p, info.subgroup_max_size)).filter(fits).max_by_key(|u| u.side);
    let none = Asked {
        units: None,
        features: wgpu::Features::empty(),
        experimental: wgpu::ExperimentalFeatures::disabled(),
    };
    if units.is_none() {
        return none;
    }
    // SAFETY: what is promised is that programs may meet bugs of wgpu here, and only shaders of ours use the feature: they load from arrays
    // of constant length that a workgroup shares, at places that are constants and numbers of subgroups below their count.
    let experimental = unsafe { wgpu::ExperimentalFeatures::enabled() };
    Asked { units, features: wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, experimental }
}

fn of(p: &wgpu::CooperativeMatrixProperties, lanes: u32) -> Option<Units> {
    let halves =
        p.ab_type == wgpu::CooperativeScalarType::F16 && p.cr_type == wgpu::CooperativeScalarType::F32;
    let square = p.m_size == p.n_size && p.n_size == p.k_size;
    Units::new(p.m_size, lanes).filter(|_| halves && square && !p.saturating_accumulation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::CooperativeScalarType::{F16, F32};

    #[test]
    fn only_square_matrices_of_halves_with_single_sums_are_used() {
        let one = |[m_size, n_size, k_size]: [u32; 3], ab_type, cr_type| {
            let saturating_accumulation = false;
            let p = wgpu::CooperativeMatrixProperties {
                m_size,
                n_size,
                k_size,
                ab_type,
                cr_type,
                saturating_accumulation,
            };
            of(&p, 32)
        };
        assert_eq!(one([16, 16, 16], F16, F32), Units::new(16, 32));
        assert!(one([8, 8, 8], F16, F32).is_some());
        assert_eq!(one([16, 8, 16], F16, F32), None);
        assert_eq!(one([16, 16, 16], F16, F16), None);
        assert_eq!(one([8, 8, 8], F32, F32), None);
    }
}
