# Read before FAISS is configured (`CMAKE_TOOLCHAIN_FILE` in .cargo/config.toml): adds subset.cmake to its project and to no
# other.
set(CMAKE_PROJECT_faiss_INCLUDE "${CMAKE_CURRENT_LIST_DIR}/subset.cmake")
