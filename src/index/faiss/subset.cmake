# Limits the build of FAISS to the flat index and what it needs: 18 of 95 files, and five of the C interface. The whole
# library, with its demos and benchmarks, takes minutes to compile (docs/adr/0003-faiss.md). Code that calls more
# of the `faiss` crate does not link: name its file here, then `cargo clean -p faiss-sys`: cargo does
# not see that this file changed.
set(FAISS_ENABLE_EXTRAS OFF)

function(muster_keep_the_flat_index)
  set_property(TARGET faiss PROPERTY SOURCES
    Index.cpp
    IndexFlat.cpp
    IndexFlatCodes.cpp
    impl/AuxIndexStructures.cpp
    impl/CodePacker.cpp
    impl/FaissException.cpp
    impl/IDSelector.cpp
    utils/Heap.cpp
    utils/distances.cpp
    utils/distances_fused/avx512.cpp
    utils/distances_fused/distances_fused.cpp
    utils/distances_fused/simdlib_based.cpp
    utils/distances_simd.cpp
    utils/extra_distances.cpp
    utils/partitioning.cpp
    utils/random.cpp
    utils/sorting.cpp
    utils/utils.cpp)
  set_property(TARGET faiss_c PROPERTY SOURCES
    Index_c.cpp
    IndexFlat_c.cpp
    error_impl.cpp
    impl/AuxIndexStructures_c.cpp
    utils/distances_c.cpp)
endfunction()

# When all targets are there.
cmake_language(DEFER CALL muster_keep_the_flat_index)
