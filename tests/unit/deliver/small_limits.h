/* The deliver room's numbers for its tests: forced into every file of the copy that they link. */
#define DELIVER_TEST_LIMITS
#define QUEUE_MAX 64u
#define QUEUE_LOW 16u
#define QUEUE_HELD 8u
#define PENDED_MAX 40u
#define REFILL_ITEMS 16u
#define TICK_MS 10
#define FLUSH_MS 20
#define BACKOFF_FIRST_MS 40
#define PROBE_MS 300
#define PROBE_DOWN_MS 200
